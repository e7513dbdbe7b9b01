"""The styles of the HTML report. Colours are told apart by people who see few of them (Okabe and Ito), and every text
has a contrast of at least 4.5 to 1 in both schemes.
"""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root{--bg:#fbfbf9;--card:#fff;--ink:#1b1f24;--soft:#57606a;--line:#dfe2e6;--ok:#0072b2;--bad:#c2410c;--open:#9aa4ae;
--p50:#0072b2;--p95:#b45309;--good-ink:#0b6b3a;--bad-ink:#b3261e;--link:#0b5cad}
@media (prefers-color-scheme:dark){:root{--bg:#14171b;--card:#1c2127;--ink:#e8eaed;--soft:#a3adb8;--line:#333b44;
--ok:#4aa8e0;--bad:#f0803c;--open:#6d7883;--p50:#4aa8e0;--p95:#e8a33d;--good-ink:#5fd08d;--bad-ink:#ff8a80;
--link:#7cc0ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
header,main,footer{max-width:1080px;margin:0 auto;padding:0 24px}
header{padding-top:36px}
h1{font-size:28px;line-height:1.2;margin:0;letter-spacing:-.01em}
header p{margin:4px 0 20px;color:var(--soft)}
h2{font-size:19px;margin:0 0 8px}
h3{font-size:13px;font-weight:600;color:var(--soft);margin:0 0 6px}
p,ul{margin:0 0 12px}
ul{padding-left:20px}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:20px 22px;margin:0 0 18px}
section[aria-label=Summary]{padding:0;background:none;border:0}
.tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:12px;margin:0 0 14px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px}
.tile dt{font-size:13px;color:var(--soft)}
.tile dd{margin:2px 0 0;font-size:25px;line-height:1.2;font-weight:600;font-variant-numeric:tabular-nums}
.tile dd.note{font-size:12.5px;font-weight:400;color:var(--soft)}
.tile.good dd:not(.note){color:var(--good-ink)}
.tile.bad dd:not(.note){color:var(--bad-ink)}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;padding:0;margin:0 0 18px;font-size:14px}
a{color:var(--link)}
.skip{position:absolute;left:-999px}.skip:focus{left:8px;top:8px;background:var(--card);padding:8px}
figure{margin:0}
.charts{display:grid;gap:22px;margin:10px 0 14px}
svg{display:block;width:100%;height:auto;overflow:visible}
figcaption{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:13px;color:var(--soft);margin-top:6px}
.key{display:inline-flex;align-items:center;gap:6px}
.key i{width:12px;height:12px;border-radius:3px;background:currentColor}
.key i.ok,.key i.p50{background:var(--ok)}.key i.bad{background:var(--bad)}.key i.open{background:var(--open)}
.key i.p95{background:var(--p95)}.key i.p99{background:var(--ink);width:3px;border-radius:0}
rect.ok{fill:var(--ok)}rect.bad{fill:var(--bad)}rect.open{fill:var(--open)}
.outcome svg{border-radius:4px;overflow:hidden}
.grid{stroke:var(--line);stroke-width:1}
.tick,.name{fill:var(--soft);font-size:12px}
.name{fill:var(--ink);font-size:13px}
polyline{fill:none;stroke-width:2;stroke-linejoin:round}
polyline.p50{stroke:var(--p50)}polyline.p95{stroke:var(--p95);stroke-dasharray:5 3}
circle.p50{fill:var(--p50)}circle.p95{fill:var(--p95)}
.range{stroke:var(--open);stroke-width:6;stroke-linecap:round}.range.thin{stroke-width:2}
line.p99{stroke:var(--ink);stroke-width:2}
.scroll{overflow-x:auto;margin:0 0 14px}
.scroll:last-child{margin-bottom:0}
table{border-collapse:collapse;width:100%;font-size:14px}
caption{text-align:left;color:var(--soft);font-size:13px;font-weight:600;padding:4px 0}
th,td{padding:6px 14px 6px 0;text-align:left;vertical-align:top;border-top:1px solid var(--line)}
thead th{border-top:0;font-size:12.5px;font-weight:600;color:var(--soft);white-space:nowrap}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td:last-child,th:last-child{padding-right:0}
code{font:12.5px/1.45 ui-monospace,SFMono-Regular,Menlo,"Liberation Mono",monospace;overflow-wrap:anywhere}
td.id{min-width:190px}
.time{white-space:nowrap}
td.prose{min-width:260px;overflow-wrap:anywhere}
summary{cursor:pointer;color:var(--link);font-size:14px;margin-bottom:8px}
footer{color:var(--soft);font-size:13px;padding-bottom:36px}
@media (max-width:760px){.tiles{grid-template-columns:repeat(2,1fr)}
header,main,footer{padding-left:14px;padding-right:14px}
section{padding:16px 14px}.charts figure{overflow-x:auto}.charts svg{min-width:600px}}
@media print{:root{--bg:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#bbb;--ok:#0072b2;--bad:#c2410c;--open:#9aa4ae;
--p50:#0072b2;--p95:#b45309;--good-ink:#0b6b3a;--bad-ink:#b3261e;
--link:#000}
@page{margin:14mm}body{font-size:11pt}header,main,footer{max-width:none;padding:0}nav,.skip{display:none}
section{border:0;padding:0;margin:0 0 14pt}figure,tr,.tile{break-inside:avoid}
h2{break-after:avoid}
.scroll{overflow:visible}table{font-size:9pt}th,td{padding-right:8pt}code{font-size:8pt}
rect,circle,.key i{print-color-adjust:exact}}
""".strip()
