"""A report as one HTML page: no script, no network, pictures and charts within it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Final

import cv2

import edgeface
from edgeface.base.files import PUBLIC, write_file
from edgeface.evaluation.chart import Chart
from edgeface.recognition.values import Image

_JPEG_QUALITY: Final = 88

_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1c2227;--soft:#5b6670;--line:#d9dee2;--ground:#fff;
--a:#1f6fb2;--b:#c2571a;--mark:#8a1c4a}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaed;--soft:#9aa6b0;--line:#3a434b;
--ground:#15191c;--a:#6db3ec;--b:#f0a060;--mark:#f08bb4}}
@media print{:root{color-scheme:light;--ink:#000;--soft:#444;--line:#bbb;--ground:#fff;
--a:#1f6fb2;--b:#c2571a;--mark:#8a1c4a}figure,tr,h2{break-inside:avoid}h2{break-after:avoid}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground);
max-width:1180px;margin:2rem auto;padding:0 1.2rem}
h1{font-size:1.6rem;margin:0 0 .3rem}h2{font-size:1.15rem;margin:2.2rem 0 .4rem}
p{max-width:80ch;margin:.4rem 0}.lead{font-size:1.05rem}.note,figcaption{color:var(--soft)}
.wide{overflow-x:auto}table{border-collapse:collapse;margin:.6rem 0}
caption{text-align:left;color:var(--soft)}
th,td{padding:.22rem .8rem;border-bottom:1px solid var(--line);text-align:right;
font-variant-numeric:tabular-nums;vertical-align:top}
th:first-child{text-align:left;padding-left:0;overflow-wrap:break-word;min-width:7em}
td{white-space:nowrap}
thead th{color:var(--soft);font-weight:600;vertical-align:bottom}tbody th{font-weight:400}
.row{display:flex;flex-wrap:wrap;gap:1rem 1.6rem;align-items:flex-start}
figure{margin:.4rem 0}.charts figure{flex:1 1 440px;max-width:560px}
figcaption{font-size:.85rem;max-width:60ch}.faces figcaption{max-width:216px;overflow-wrap:anywhere}
.faces img{width:104px;height:104px;object-fit:cover;margin-right:4px;border-radius:4px}
svg{width:100%;height:auto;display:block}svg text{font:12px system-ui,sans-serif;fill:var(--ink)}
svg text.axis{fill:var(--soft)}svg text.mark{fill:var(--mark);font-weight:600}
.grid{stroke:var(--line);stroke-width:.7}path.axis{stroke:var(--soft)}
.line{fill:none;stroke-width:2}.line.a{stroke:var(--a)}.line.b{stroke:var(--b)}
.area{fill-opacity:.35;stroke-width:1.2}.area.a{fill:var(--a);stroke:var(--a)}
.area.b{fill:var(--b);stroke:var(--b)}circle.mark{fill:var(--mark)}
line.mark{stroke:var(--mark);stroke-width:1.6}line.limit{stroke:var(--mark);stroke-dasharray:3 3}
.key{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin:0 .3em 0 0}
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """Pictures side by side, each RGB uint8 `(h, w, 3)`, with what is said of them."""

    pictures: tuple[Image, ...]
    caption: str


@dataclass(slots=True)
class Page:
    """Collects what a page shows, from top to bottom."""

    title: str
    lead: str
    """What was measured, in a sentence."""
    _parts: list[str] = field(default_factory=list)

    def section(self, title: str, *paragraphs: str) -> None:
        """A heading with text below it."""
        self._parts.append(f"<h2>{escape(title)}</h2>")
        for text in paragraphs:
            self.text(text)

    def text(self, text: str) -> None:
        """A paragraph."""
        self._parts.append(f"<p>{escape(text)}</p>")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> None:
        """A row's first cell says what it is about; no table without rows."""
        if not rows:
            return
        top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
        body = "".join(
            f'<tr><th scope="row">{escape(row[0])}</th>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
            + "</tr>"
            for row in rows
        )
        said = f"<caption>{escape(caption)}</caption>" if caption else ""
        self._parts.append(
            f'<div class="wide"><table>{said}<thead><tr>{top}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )

    def facts(self, facts: Mapping[str, str]) -> None:
        """Names and values."""
        self.table(("what", "value"), list(facts.items()))

    def charts(self, charts: Sequence[tuple[Chart, str]]) -> None:
        """Charts beside one another, each with its caption."""
        drawn = "".join(
            f"<figure>{chart.svg()}<figcaption>{escape(caption)}</figcaption></figure>"
            for chart, caption in charts
        )
        self._parts.append(f'<div class="row charts">{drawn}</div>')

    def key(self, a: str, b: str) -> None:
        """What the two colors of the charts stand for."""
        self._parts.append(
            '<p class="note">'
            + " &nbsp; ".join(
                f'<span class="key" style="background:var(--{kind})"></span>{escape(text)}'
                for kind, text in (("a", a), ("b", b))
            )
            + "</p>"
        )

    def faces(self, shown: Sequence[Shown]) -> None:
        """Pictures in rows, a caption below each group."""
        groups = "".join(
            "<figure>"
            + "".join(f'<img alt="" src="{_data(picture)}">' for picture in one.pictures)
            + f"<figcaption>{escape(one.caption)}</figcaption></figure>"
            for one in shown
        )
        self._parts.append(f'<div class="row faces">{groups}</div>')

    def listing(self, lines: Sequence[str]) -> None:
        """Lines of text; no list without any."""
        if lines:
            items = "".join(f"<li>{escape(line)}</li>" for line in lines)
            self._parts.append(f"<ul>{items}</ul>")

    def html(self) -> str:
        """The whole document."""
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\';'
            " img-src data:; style-src 'unsafe-inline'\">"
            f"<title>{escape(self.title)}</title><style>{_STYLE}</style></head><body>"
            f'<h1>{escape(self.title)}</h1><p class="lead">{escape(self.lead)}</p>'
            + "\n".join(self._parts)
            + f'<p class="note">edgeface {escape(edgeface.__version__)}</p></body></html>\n'
        )

    def write(self, path: Path) -> None:
        """Raises StateError."""
        content = self.html().encode("utf-8", "backslashreplace")
        write_file(path, content, PUBLIC, replace=True)


def _data(picture: Image) -> str:
    done, content = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode()
