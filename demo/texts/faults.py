"""What the library says about a file that cannot be used, in other languages than its own English."""

import re

CHINESE = {
    r"(?P<name>.+) is no longer here; upload it again\.": "{name} 已不存在，请重新上传。",
    r"(?P<name>.+) is empty \(0 bytes\); .*": "{name} 是空文件（0 字节），请换一个文件。",
    r"(?P<name>.+) holds (?P<kind>.+), not a picture; .*": "{name} 不是照片，请用 JPEG、PNG 或 WebP 图片。",
    r"(?P<name>.+) holds (?P<kind>.+), not a recording; .*": "{name} 不是录音，请用 WAV、MP3、M4A 等音频文件。",
    r"(?P<name>.+) holds (?P<kind>.+), not a video; .*": "{name} 不是视频，请用 MP4、MOV 或 WebM 文件。",
    r"(?P<name>.+) is damaged or incomplete; .*": "{name} 已损坏或不完整，请重新保存或换一个文件。",
    r"(?P<name>.+) takes more time or memory to read than .+; .*": (
        "{name} 解码所需时间或内存过多，请缩小、剪短或换一个文件。"
    ),
    r"(?P<name>.+) could not be decoded; .*": "{name} 无法解码，请另存为其他格式或换一个文件。",
    r"(?P<name>.+) does not exist; .*": "{name} 已不存在，请重新上传。",
    r"(?P<name>.+) has only (?P<shape>.+); choose a photo of at least .*": (
        "{name} 太小（{shape}），请换一张更大的照片。"
    ),
    r"(?P<name>.+) has far too many pixels; .*": "{name} 像素太多，请缩小到 2500 万像素以内。",
    r"(?P<name>.+) has (?P<shape>.+); reduce it to 25 megapixels or less\.": (
        "{name} 太大（{shape}），请缩小到 2500 万像素以内。"
    ),
    r"(?P<name>.+) has (?P<shape>.+); reduce the video to 4096 x 2304 or less\.": (
        "{name} 太大（{shape}），请缩小到 4096 × 2304 以内。"
    ),
    r"(?P<name>.+) is a HEIC picture, .*": "{name} 是 HEIC 图片，这里无法读取，请另存为 JPEG 或 PNG。",
    r"(?P<name>.+) lasts (?P<seconds>\d+) s; cut it to (?P<most>\d+) s or less\.": (
        "{name} 长 {seconds} 秒，请剪到 {most} 秒以内。"
    ),
    r"(?P<name>.+) lasts only (?P<seconds>.+) s; give a recording of at least (?P<least>.+) s\.": (
        "{name} 只有 {seconds} 秒，录音至少要 {least} 秒。"
    ),
    r"(?P<name>.+) has no sound track; .*": "{name} 没有声音，请换一个有声音的文件。",
    r"(?P<name>.+) holds no sound; .*": "{name} 没有声音，请换一个有声音的文件。",
    r"No human face was found in (?P<name>.+); .*": "在 {name} 中没有找到人脸，请用正面人脸的照片。",
    r"No face was found in any of the (?P<count>\d+) frames of (?P<name>.+); .*": (
        "{name} 的 {count} 帧里都没有人脸，请用有人脸的视频。"
    ),
    r"No region follows a signal, .*": "没有区域跟随声音或视频，画面不会动；请让声音或视频驱动某个区域。",
    r"'(?P<text>.*)' is neither a preset nor changes such as .*": (
        "“{text}”既不是预设，也不是 head=audio gaze=still 这样的改动。"
    ),
    r"The disk is full, so (?P<name>.+) was not written; .*": "磁盘已满，无法写入 {name}；请释放空间后重试。",
    r"(?P<name>.+) cannot be written \(.*\); .*": "无法写入 {name}，请通知网站管理者。",
    r"(?P<count>\d+) requests are waiting already; .*": "已有 {count} 个请求在排队，请几分钟后再试。",
    r"The work took longer than (?P<minutes>-?\d+) minutes .*": "处理超过 {minutes} 分钟，已停止；请用更短的录音。",
    r"(?P<name>.+) is not a recipe \(.*\); .*": "{name} 不是配方文件，请用结果旁边的 .json 文件。",
}
TABLES = {"zh": CHINESE}


def translated(sentence: str, language: str) -> str:
    """The sentence in that language; as it is where the table has no line for it."""
    for pattern, text in TABLES.get(language, {}).items():
        found = re.fullmatch(pattern, sentence, re.DOTALL)
        if found:
            return text.format(**found.groupdict())
    return sentence
