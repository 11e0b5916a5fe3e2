"""How the frame of the page looks: fonts of the machine, no file from elsewhere."""

from __future__ import annotations

from typing import Any

CSS = """
#name h1{font-size:1.6rem;margin:0}
#top{align-items:end}
#say,#keep{align-self:end;max-height:2.8rem}
.gradio-container{width:100%!important;max-width:72rem!important;min-width:0!important;margin:0 auto!important}
@media(max-width:40rem){.gradio-container{padding:0 .3rem!important} .gradio-container>main{padding:.5rem!important}
  #top{flex-wrap:wrap} #name{flex:1 0 100%} #run{min-width:0!important}}
"""


def theme() -> Any:
    import gradio as gr

    return gr.themes.Default(
        primary_hue="blue", neutral_hue="slate", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
