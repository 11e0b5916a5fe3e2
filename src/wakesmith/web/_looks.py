"""How the page looks: its frame with fonts of the machine, no file from elsewhere; plots and tables of the report inside it."""

from __future__ import annotations

import html
from typing import Any

from wakesmith.report.style import DARK, LIGHT, PARTS

CSS = """
#name h1{font-size:1.6rem;margin:0}
#top{align-items:end}
#run,.form .block{overflow-wrap:anywhere}
#next-steps code{white-space:pre-wrap!important;overflow-wrap:anywhere}
#threshold .min_value{white-space:nowrap}
#say,#keep{align-self:end;max-height:2.8rem}
.gradio-container{width:100%!important;max-width:72rem!important;min-width:0!important;margin:0 auto!important}
#try{display:grid;grid-template:auto auto 1fr/minmax(0,2fr) minmax(0,3fr);align-items:start} #heard{grid-area:1/2/4/3}
@media(max-width:40rem){.gradio-container{padding:0 .3rem!important} .gradio-container>main{padding:.5rem!important}
  #try{display:flex} #top{flex-wrap:wrap} #name{flex:1 0 100%} #run{min-width:0!important}}
"""
STYLE = f"""<style>.ws{{--ink:var(--body-text-color);--soft:#56606c;--paper:var(--body-background-fill);
--line:var(--border-color-primary);--panel:var(--background-fill-secondary);color:var(--ink);{LIGHT};{PARTS}
h3{{font-size:1.05rem;font-weight:600;margin:1rem 0 .3rem}} p{{margin:.4rem 0}} table,thead,tbody,tr{{border:0!important}}
th,td{{border:0 solid var(--line)!important;border-bottom-width:1px!important;background:none!important;
padding:.35rem .8rem .35rem 0!important;font:inherit!important}} th{{color:var(--soft)!important;font-weight:600!important}}
.now{{display:grid;grid-template-columns:1fr 1fr;gap:.8rem}} .now h3{{margin:0}} .now .cards{{display:block;margin:.3rem 0}}
.now .card{{margin-bottom:.35rem;padding:.25rem .6rem}} .now b{{font-size:1.35rem}} .card{{margin:0}}
.dense table{{font-size:.8rem}} .dense th,.dense td{{padding-right:.55rem!important}} .pair{{display:block}}
.cards{{margin:.6rem 0;grid-template-columns:repeat(auto-fit,minmax(8rem,1fr))}}
@media(min-width:60rem){{.pair{{display:grid;grid-template-columns:1fr 1fr;gap:2rem}}}}}}
.dark .ws{{--soft:#a3adb9;{DARK}}}</style>"""
"""gradio gives tables a look of its own, which must not win."""


def framed(*parts: str) -> str:
    return f"{STYLE}<div class=ws>{''.join(parts)}</div>"


def message(text: str) -> str:
    """What to do, where there is nothing to show; Markdown's backticks alone are kept, as code."""
    pieces = html.escape(text).split("`")
    shown = "".join(f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces))
    return framed(f"<p class=warn role=status>{shown}</p>")


def theme() -> Any:
    import gradio as gr

    return gr.themes.Default(
        primary_hue="blue", neutral_hue="slate", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
