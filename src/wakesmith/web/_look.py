"""How the page looks: fonts of the machine, no file from elsewhere; the plots of the report take their colours from here."""

from __future__ import annotations

from typing import Any

CSS = """
.gradio-container{--ink:var(--body-text-color);--soft:var(--body-text-color-subdued);--paper:var(--body-background-fill);
  --line:var(--border-color-primary);--panel:var(--background-fill-secondary);
  --a:#0b62a8;--b:#b3541e;--c:#2c7a4b;--d:#8a3d86;--e:#7a6a12}
.dark .gradio-container,.dark.gradio-container,.dark{--a:#6cb4ee;--b:#f0a06a;--c:#74c796;--d:#d79bd3;--e:#d3c15f}
#name h1{font-size:1.6rem;margin:0}
#top{align-items:end}
.soft{color:var(--soft)}
.warn{border-left:4px solid var(--b);padding:.3rem .8rem;background:var(--panel)}
.plots svg{display:block;width:100%;height:auto;max-width:44rem}
.plots svg text{fill:var(--soft);font:13px system-ui,sans-serif}
.plots .grid{stroke:var(--line)}
.plots .bar{fill:var(--a)}
.plots .cross{stroke-width:2}
.plots .point{fill:var(--paper);stroke-width:3}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(10.5rem,1fr));gap:.8rem;margin:.8rem 0}
.card{background:var(--panel);border:1px solid var(--line);border-radius:.5rem;padding:.7rem .9rem}
.card b{display:block;font-size:1.3rem}
.card span{overflow-wrap:anywhere}
.legend{display:flex;flex-wrap:wrap;gap:.1rem 1.2rem;margin:.6rem 0 0}
.legend i{display:inline-block;width:1.4em;height:.28em;border-radius:2px;margin-right:.45em;vertical-align:middle}
.wide{overflow-x:auto}
.plots table{border-collapse:collapse;width:100%;margin:.5rem 0}
.plots th,.plots td{text-align:left;vertical-align:top;padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--line);
  font-variant-numeric:tabular-nums}
.plots th{color:var(--soft);font-weight:600}
.plots td.long{overflow-wrap:anywhere}
@media(max-width:40rem){.plots svg text{font-size:17px}}
"""
"""Every gr.HTML that holds a plot or a table of the report has the class `plots`."""


def theme() -> Any:
    import gradio as gr

    return gr.themes.Default(
        primary_hue="blue", neutral_hue="slate", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
