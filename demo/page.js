// What the page does in the browser itself. Gradio draws the widgets later, so everything waits on the whole document.
(() => {
    const find = selector => document.querySelector(selector);

    // For those who hear the page: its language, and the names of thumbnails, which are their files' names.
    const name = () => {
        const title = find('[data-language]');
        if (title) document.documentElement.lang = title.dataset.language;
        for (const image of document.querySelectorAll('[id$=-examples] img:not([alt]), [id$=-examples] img[alt=""]'))
            image.alt = decodeURIComponent(image.src.split('/').pop().replace(/[.].*/, ''));
    };

    // A recipe that is dropped anywhere goes to its button.
    const recipes = files => [...files].filter(file => /[.]json$/i.test(file.name));
    document.addEventListener('dragover', event => event.preventDefault());
    document.addEventListener('drop', event => {
        const files = event.dataTransfer?.files ?? [];
        const field = find('#recipe')?.parentElement.querySelector('input[type=file]');
        if (!recipes(files).length || !field) return;
        event.preventDefault();
        event.stopPropagation();
        field.files = event.dataTransfer.files;
        field.dispatchEvent(new Event('change', { bubbles: true }));
    }, true);

    document.addEventListener('click', event => {
        if (event.target.closest?.('#header .theme')) document.body.classList.toggle('dark');
        const step = event.target.closest?.('#play-all');
        if (step) playAll();
    });

    // All videos of a comparison from their start, in step; only the first one with sound is heard.
    const playAll = () => {
        const videos = [...document.querySelectorAll('#tiles video')].filter(video => video.src);
        const started = videos.map(video => { video.pause(); video.currentTime = 0; return video; });
        const heard = started.find(video => video.closest('#tile-joint')) ?? started[0];
        for (const video of started) video.muted = video !== heard;
        Promise.all(started.map(video => video.play())).then(() => { for (const video of started) video.currentTime = heard.currentTime; });
    };

    new MutationObserver(name).observe(document.documentElement, { childList: true, subtree: true });
})();
