"""How the report looks: light and dark, phone and print. The page of `wakesmith ui` takes its plots and tables from here."""

LIGHT = "--a:#0b62a8;--b:#b3541e;--c:#2c7a4b;--d:#8a3d86;--e:#7a6a12;--f:#a3324a"
DARK = "--a:#6cb4ee;--b:#f0a06a;--c:#74c796;--d:#d79bd3;--e:#d3c15f;--f:#f08fa0"
"""Colours of curves."""
PARTS = """
.soft{color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.8rem;margin:1.2rem 0}
.card{background:var(--panel);border:1px solid var(--line);border-radius:.5rem;padding:.8rem 1rem;break-inside:avoid}
.card b{display:block;font-size:1.5rem}
.card span{overflow-wrap:anywhere}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.93rem;margin:.5rem 0}
th,td{text-align:left;vertical-align:top;padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--line);
  font-variant-numeric:tabular-nums}
th{color:var(--soft);font-weight:600}
td{white-space:nowrap}
td.long{white-space:normal;overflow-wrap:anywhere;min-width:9rem}
td.words{white-space:normal;min-width:12rem}
thead{display:table-header-group}
tr,svg,figure{break-inside:avoid}
svg{display:block;width:100%;height:auto;max-width:44rem}
svg text{fill:var(--soft);font:13px system-ui,sans-serif}
.grid{stroke:var(--line)}
.bar{fill:var(--a)}
.cross{stroke-width:2}
.point{fill:var(--paper);stroke-width:3}
.legend{display:flex;flex-wrap:wrap;gap:.1rem 1.2rem;font-size:.93rem;margin:.6rem 0 0;break-after:avoid}
.legend i{display:inline-block;width:1.4em;height:.28em;border-radius:2px;margin-right:.45em;vertical-align:middle;
  print-color-adjust:exact;-webkit-print-color-adjust:exact}
.legend i.dot{width:.8em;height:.8em;border:3px solid;border-radius:50%}
.warn{border-left:4px solid var(--b);padding:.3rem .8rem;background:var(--panel);overflow-wrap:anywhere}
@media(min-width:70rem){.pair{display:grid;grid-template-columns:1fr 1fr;gap:2rem;align-items:start}}
@media(max-width:40rem){svg text{font-size:16px} svg.curves text{font-size:20px} table{font-size:.8rem}
  th,td{padding-right:.5rem}}
"""
"""`long` lets a path break anywhere. A plot's text is larger on a phone, where the plot itself is small."""
STYLE = f"""
:root{{color-scheme:light dark;--ink:#1b1f24;--soft:#56606c;--paper:#fff;--line:#d9dee4;--panel:#f5f7f9;{LIGHT}}}
@media(prefers-color-scheme:dark){{:root{{--ink:#e6e9ed;--soft:#a3adb9;--paper:#14171b;--line:#323941;--panel:#1c2127;{DARK}}}}}
@media print{{:root{{color-scheme:light;--ink:#000;--soft:#444;--paper:#fff;--line:#bbb;--panel:#fff;{LIGHT}}}}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}}
main{{max-width:80rem;margin:0 auto;padding:1.5rem 1rem 4rem}}
h1{{font-size:1.8rem;line-height:1.2;margin:.4rem 0}}
h2{{font-size:1.3rem;margin:2.6rem 0 .6rem;padding-top:.8rem;border-top:1px solid var(--line);break-after:avoid}}
h3{{font-size:1.02rem;margin:1.6rem 0 .3rem;break-after:avoid}}
p{{margin:.4rem 0;max-width:46rem}}
nav{{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin:.8rem 0;font-size:.93rem}}
a{{color:var(--a)}}
.verdict{{font-size:1.12rem}}
pre{{background:var(--panel);border:1px solid var(--line);border-radius:.5rem;padding:.8rem;white-space:pre-wrap;
  overflow-wrap:anywhere;break-inside:avoid}}
{PARTS}
.wide{{background:linear-gradient(90deg,var(--paper) 40%,transparent) 0/3rem 100% no-repeat local,
  linear-gradient(270deg,var(--paper) 40%,transparent) 100%/3rem 100% no-repeat local,
  linear-gradient(90deg,var(--line),transparent) 0/.8rem 100% no-repeat,
  linear-gradient(270deg,var(--line),transparent) 100%/.8rem 100% no-repeat}}
@page{{margin:16mm 15mm}}
@media print{{
  .pair{{display:block}} body{{font-size:10.5pt}} main{{padding:0;max-width:none}} nav{{display:none}} a{{color:inherit}}
  .wide{{overflow:visible;background:none}} td.words,td.long{{min-width:0}} h2{{margin-top:1.4rem}} svg{{max-width:15cm}}
  pre,.card{{border-color:#bbb}} .cards{{gap:.5rem;margin:.7rem 0}}}}
"""
"""A table that goes on beside the edge shows a shade there: on a phone nothing else says so."""
