"""A page as one HTML file that loads nothing from a network; its content security policy forbids it.

plotly's script is embedded once, compressed; the browser unpacks it. It is the bundle ``cartesian`` of plotly.js, a
third of the whole (``plotly/ORIGIN`` says which release). Figures are JSON with names of colours, which the script
replaces by the theme's, so that one file has a light and a dark theme. On narrow screens charts take the whole width,
and touch scrolls the page instead of zooming a chart. Everything except charts can be read without scripts.
"""

from __future__ import annotations

import base64
import html
from importlib.resources import files
from typing import Final

import orjson

from stall_then_strike.research.report.drawing import PALETTE
from stall_then_strike.research.report.labels import Labels
from stall_then_strike.research.report.run_sections import Page, Section, TableOf
from stall_then_strike.research.report.run_words import Card

POLICY: Final = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"

_STYLE: Final = """
:root { color-scheme: light; --page: #f4f6f8; --card: #ffffff; --ink: #1b1f24; --muted: #596372; --line: #dfe4ea;
  --good: #0072b2; --bad: #b84e00; --accent: #0072b2; }
:root[data-theme=dark] { color-scheme: dark; --page: #0f1217; --card: #171b22; --ink: #e6e9ee; --muted: #98a2b3;
  --line: #2a313c; --good: #56b4e9; --bad: #f0903c; --accent: #56b4e9; }
@media (prefers-color-scheme: dark) { :root:not([data-theme]) { color-scheme: dark; --page: #0f1217; --card: #171b22;
  --ink: #e6e9ee; --muted: #98a2b3; --line: #2a313c; --good: #56b4e9; --bad: #f0903c; --accent: #56b4e9; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.5; font: 15px/1.5 system-ui, -apple-system,
  "Segoe UI", Roboto, "Hiragino Sans", "Noto Sans CJK JP", "Noto Sans JP", "Yu Gothic UI", Meiryo, sans-serif; }
main { max-width: 1320px; margin: 0 auto; padding: 20px 24px 48px; }
header { display: flex; gap: 16px; align-items: flex-start; justify-content: space-between; }
h1 { font-size: 24px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 17px; line-height: 1.3; margin: 0 0 4px; }
p { margin: 0 0 6px; }
article { margin-top: 34px; padding-top: 14px; border-top: 2px solid var(--line); }
nav a { color: var(--accent); }
.quiet { color: var(--muted); font-size: 13px; overflow-wrap: anywhere; }
button { flex: none; font: inherit; font-size: 13px; color: var(--ink); background: var(--card); cursor: pointer;
  border: 1px solid var(--line); border-radius: 8px; padding: 8px 12px; min-height: 40px; }
button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.cards { display: grid; gap: 10px; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); margin: 18px 0; }
.card, section, .words { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.card { padding: 10px 14px; }
.card .value { font-size: 22px; font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; }
.card .good { color: var(--good); } .card .bad { color: var(--bad); }
.words { padding: 14px 18px; margin: 14px 0; }
.words ul { margin: 4px 0 0; padding-left: 20px; } .words li { margin-bottom: 3px; }
.words.notes { color: var(--muted); font-size: 13px; margin-top: 14px; }
.words.notes h2 { font-size: 14px; }
.sections { display: grid; gap: 14px; grid-template-columns: 1fr 1fr; }
section { padding: 14px 18px; grid-column: 1 / -1; min-width: 0; }
section.half { grid-column: auto; }
.chart { width: 100%; min-width: 0; overflow: hidden; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 14px; } .pair > * { min-width: 0; }
.scroll { overflow-x: auto; margin-top: 8px; }
table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 8px; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--muted); font-weight: 500; word-break: keep-all; }
th:first-child { word-break: normal; }
th:not(:first-child) { min-width: 4.5em; }
td { white-space: nowrap; }
td:first-child { white-space: normal; word-break: keep-all; min-width: 5em; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tbody tr:last-child td { border-bottom: 0; }
@media (max-width: 1000px) { .sections { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 700px) {
  main { padding: 14px 10px 32px; } h1 { font-size: 20px; }
  .pair { grid-template-columns: minmax(0, 1fr); }
  .cards { grid-template-columns: 1fr 1fr; gap: 8px; } .card { padding: 8px 10px; } .card .value { font-size: 19px; }
  .card .quiet { font-size: 12px; }
  section, .words { padding: 12px 10px; }
  td, th { padding: 5px 5px; font-size: 12px; }
}
@media print { button { display: none; } section { break-inside: avoid; } body { background: #fff; } }
"""

_SCRIPT: Final = """
(() => {
  const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)");
  const source = document.getElementById("figures").textContent;
  const palette = JSON.parse(document.getElementById("palette").textContent);
  async function load() {
    const packed = atob(document.getElementById("plotly").textContent);
    const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  }
  const theme = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  function draw() {
    const at = theme() === "dark" ? 1 : 0;
    const figures = JSON.parse(source.replace(/"(@[a-z_0-9]+)"/g, (all, name) =>
      name in palette ? JSON.stringify(palette[name][at]) : all));
    document.querySelectorAll(".chart").forEach((element, number) => {
      const figure = figures[number], layout = figure.layout, narrow = element.clientWidth < 520;
      layout.width = element.clientWidth;
      layout.hoverlabel = Object.assign({ namelength: -1 }, layout.hoverlabel);
      if (narrow) {
        layout.font.size = 11;
        layout.dragmode = false;
        layout.margin = Object.assign({}, layout.margin, { l: 44, r: 8 });
        layout.legend.font = { size: 10.5 };
        for (const trace of figure.data) if (trace.type === "heatmap") delete trace.texttemplate;
        for (const key of Object.keys(layout)) if (/^[xy]axis/.test(key)) {
          const axis = layout[key];
          if (axis.title) axis.title.font.size = 11;
          if (axis.type === "date") axis.nticks = 4;
          if (axis.type === "category" && key[0] === "x") axis.tickangle = -50;
        }
      }
      Plotly.react(element, figure.data, layout, {
        displaylogo: false, scrollZoom: false,
        displayModeBar: !narrow && layout.meta.zooms && matchMedia("(hover: hover)").matches ? "hover" : false,
        modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"], plotlyServerURL: "" });
    });
  }
  let width = 0, timer = 0;
  load().then(() => {
    document.getElementById("theme").addEventListener("click", () => {
      root.dataset.theme = theme() === "dark" ? "light" : "dark";
      draw();
    });
    dark.addEventListener("change", draw);
    new ResizeObserver(() => {
      const now = document.querySelector("main").clientWidth;
      if (now === width) return;
      clearTimeout(timer);
      timer = setTimeout(draw, width ? 120 : 0);
      width = now;
    }).observe(document.querySelector("main"));
  });
})();
"""


def plotly_script() -> str:
    """plotly.js, compressed by gzip, as base64."""
    return base64.b64encode(files(__package__).joinpath("plotly", "plotly-cartesian.min.js.gz").read_bytes()).decode()


def render(page: Page, say: Labels) -> str:
    """The file's text. Equal pages give equal text."""
    sections = [section for each in (page, *page.parts) for section in each.sections]
    figures = [figure for section in sections for figure in section.figures]
    parts = [
        f'<!DOCTYPE html>\n<html lang="{say.language}">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_safe(page.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>",
        f"<header><div><h1>{_safe(page.title)}</h1>",
        *(f'<p class="quiet">{_safe(line)}</p>' for line in page.subtitle),
        f'</div><button id="theme" type="button">{_safe(say("theme"))}</button></header>',
        _cards(page.cards),
        _links(page),
        _words(say("summary"), page.summary),
        f'<noscript><p class="words">{_safe(say("needs_script"))}</p></noscript>',
        _body(page, say),
        *(_part(part, say) for part in page.parts),
        "</main>",
        f'<script id="palette" type="application/json">{_json(PALETTE)}</script>',
        f'<script id="figures" type="application/json">{_json(figures)}</script>',
        f'<script id="plotly" type="text/plain">{plotly_script()}</script>',
        f"<script>{_SCRIPT}</script>\n</body>\n</html>\n",
    ]
    return "\n".join(part for part in parts if part)


def _body(page: Page, say: Labels) -> str:
    sections = "".join(_section(section) for section in page.sections)
    return f'<div class="sections">{sections}</div>{_words(say("notes"), page.notes, kind="words notes")}'


def _links(page: Page) -> str:
    """The way to each part."""
    if not page.parts:
        return ""
    links = (f'<a href="#{_safe(part.key)}">{_safe(part.title)}</a>' for part in page.parts)
    return f"<nav>{' · '.join(links)}</nav>"


def _part(part: Page, say: Labels) -> str:
    """A page below another one."""
    told = "".join(f'<p class="quiet">{_safe(line)}</p>' for line in part.subtitle)
    return (
        f'<article id="{_safe(part.key)}"><h1>{_safe(part.title)}</h1>{told}'
        f"{_cards(part.cards)}{_words(say('summary'), part.summary)}{_body(part, say)}</article>"
    )


def _cards(cards: list[Card]) -> str:
    if not cards:
        return ""
    tones = {-1: " bad", 0: "", 1: " good"}
    made = (
        f'<div class="card"><div class="quiet">{_safe(card.label)}</div>'
        f'<div class="value{tones[card.tone]}">{_safe(card.value)}</div>'
        + (f'<div class="quiet">{_safe(card.note)}</div>' if card.note else "")
        + "</div>"
        for card in cards
    )
    return f'<div class="cards">{"".join(made)}</div>'


def _words(heading: str, sentences: list[str], kind: str = "words") -> str:
    if not sentences:
        return ""
    items = "".join(f"<li>{_safe(sentence)}</li>" for sentence in sentences)
    return f'<div class="{kind}"><h2>{_safe(heading)}</h2><ul>{items}</ul></div>'


def _section(section: Section) -> str:
    charts = "".join(
        f'<div class="chart" style="height:{figure["layout"]["height"]}px"></div>' for figure in section.figures
    )
    if len(section.figures) > 1:
        charts = f'<div class="pair">{charts}</div>'
    text = f'<p class="quiet">{_safe(section.text)}</p>' if section.text else ""
    table = "" if section.table is None else _table(section.table)
    half = ' class="half"' if section.is_half else ""
    return f'<section id="{section.key}"{half}><h2>{_safe(section.heading)}</h2>{text}{charts}{table}</section>'


def _table(table: TableOf) -> str:
    head = "".join(f"<th>{_safe(cell)}</th>" for cell in table.head)
    rows = "".join(
        "<tr>"
        + "".join(f"<td>{f'<b>{_safe(cell.text)}</b>' if cell.is_strong else _safe(cell.text)}</td>" for cell in row)
        + "</tr>"
        for row in table.rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _safe(text: str) -> str:
    return html.escape(text)


def _json(value: object) -> str:
    """JSON that cannot end the script element around it."""
    return orjson.dumps(value).decode().replace("<", "\\u003c")
