"""What a report's page has to keep: it stands alone, and no text of the data becomes markup."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

_VOID = {"meta", "img", "br", "line", "circle", "path", "polyline", "polygon"}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.led_to: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in _VOID:
            self.open.append(tag)
        self.led_to += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href")
        ]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def assert_stands_alone(path: Path) -> None:
    """No script, no network: what it leads to lies within it."""
    reader = _Reader()
    text = path.read_text()
    reader.feed(text)
    assert reader.open == []
    assert not {"script", "link", "iframe", "object", "form"} & set(reader.tags)
    assert all(target.startswith("data:image/jpeg;base64,") for target in reader.led_to)
    assert "http" not in text.replace("http-equiv", "")
    assert "url(" not in text
