// What the page does in the browser itself. Gradio draws the widgets later, so everything waits on the whole document.
(() => {
    const find = selector => document.querySelector(selector);

    // For those who hear the page: its language, and names for what Gradio leaves without one or names otherwise than
    // it shows. Thumbnails have their files' names, and pictures their labels.
    const name = () => {
        const title = find('[data-language]');
        if (title) document.documentElement.lang = title.dataset.language;
        for (const image of document.querySelectorAll('[id$=-examples] img:not([alt]), [id$=-examples] img[alt=""]'))
            image.alt = decodeURIComponent(image.src.split('/').pop().replace(/[.].*/, ''));
        for (const empty of document.querySelectorAll('[aria-label="Empty value"]:not([role])')) empty.setAttribute('role', 'img');
        for (const drop of document.querySelectorAll('div.image-container[aria-label]:not([role])')) drop.setAttribute('role', 'group');
        for (const button of document.querySelectorAll('button.upload-container[aria-label]')) button.removeAttribute('aria-label');
        for (const frame of document.querySelectorAll('button > .image-frame')) {
            const label = frame.closest('.block')?.querySelector('[data-testid="block-label"]')?.innerText.trim();
            if (label && frame.parentElement.ariaLabel !== label) frame.parentElement.ariaLabel = label;
        }
        for (const speed of document.querySelectorAll('button.playback[aria-label^="Adjust"]')) {
            speed.setAttribute('aria-label', `${speed.innerText.trim()}: ${speed.getAttribute('aria-label')}`);
        }
    };

    // That the people in the files agreed is asked for once: the browser's tab remembers it, in both languages.
    const agreed = () => {
        const box = find('#agreed input[type=checkbox]');
        if (!box || box.dataset.known) return;
        box.dataset.known = 'yes';
        // Gradio fills its widgets a little after it has drawn them, and undoes what was ticked before.
        const tick = tries => { if (!box.checked && tries) { box.click(); setTimeout(tick, 300, tries - 1); } };
        try {
            box.addEventListener('change', () => sessionStorage.setItem('agreed', box.checked ? 'yes' : ''));
            if (sessionStorage.getItem('agreed')) setTimeout(tick, 300, 8);
        } catch { /* a browser that keeps nothing asks again */ }
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

    // Pieces of a video that is being made are played one after the other: one player plays, the other has the next one.
    const live = { pieces: [], at: -1, played: 0 };
    const address = path => `${window.gradio_config?.root ?? ''}/gradio_api/file=${path}`;
    const players = () => [...document.querySelectorAll('.live video')];
    const next = () => {
        const [shown, waiting] = [players()[live.at % 2], players()[(live.at + 1) % 2]];
        if (live.at + 1 >= live.pieces.length) return;
        if (shown) live.played += shown.duration || 0;
        live.at += 1;
        if (waiting.dataset.piece !== live.pieces[live.at]) load(waiting, live.at);
        waiting.hidden = false;
        waiting.onended = next;
        waiting.play().catch(() => { waiting.controls = true; });
        if (shown) { shown.hidden = true; shown.removeAttribute('data-piece'); load(shown, live.at + 1); }
    };
    const load = (player, number) => {
        if (number >= live.pieces.length) return;
        player.dataset.piece = live.pieces[number];
        player.src = address(live.pieces[number]);
        player.preload = 'auto';
    };
    const pieces = () => {
        const found = find('#pieces [data-pieces]');
        const box = find('.live');
        if (!found || !box) return;
        const known = JSON.parse(found.dataset.pieces);
        if (!known.length && live.pieces.length) end(box);
        if (known.length === live.pieces.length) return;
        if (!live.pieces.length || known[0] !== live.pieces[0]) Object.assign(live, { at: -1, played: 0 });
        live.pieces = known;
        box.hidden = false;
        const shown = players()[live.at % 2];
        const waiting = players()[(live.at + 1) % 2];
        if (live.at < 0 || shown?.ended) next();
        else if (waiting && !waiting.dataset.piece) load(waiting, live.at + 1);
    };
    // The whole video goes on where the pieces were.
    const end = box => {
        const shown = players()[live.at % 2];
        const at = live.played + (shown?.currentTime || 0);
        for (const player of players()) { player.pause(); player.removeAttribute('src'); player.removeAttribute('data-piece'); player.load(); }
        Object.assign(live, { pieces: [], at: -1, played: 0 });
        box.hidden = true;
        const resume = tries => {
            const video = find('#result video');
            if (video?.readyState >= 1) { if (at < video.duration - 0.3) video.currentTime = at; }
            else if (tries) setTimeout(resume, 50, tries - 1);
        };
        resume(60);
    };

    new MutationObserver(() => { name(); agreed(); pieces(); }).observe(document, { childList: true, subtree: true, attributeFilter: ['data-pieces'] });
})();
