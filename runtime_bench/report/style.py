"""The style sheet of the HTML report: light and dark, no external files."""

CSS = """
:root {
  color-scheme: light dark;
  --page: #fbfbfa; --card: #ffffff; --ink: #1d2430; --soft: #5b6573; --rule: #dfe3e8;
  --squeezebert-ours: #0b7a6f; --squeezebert-stock: #67b3a9;
  --bert-ours: #a9480f; --bert-stock: #dd9a70; --other: #6d5bb0;
  --warn: #8a5a00; --warn-back: #fff6e0; --bad: #a3262a; --bad-back: #fdecec;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14181d; --card: #1b2027; --ink: #e8ecf0; --soft: #a2adb9; --rule: #343c46;
    --squeezebert-ours: #43c9b8; --squeezebert-stock: #2f9385;
    --bert-ours: #f2935c; --bert-stock: #a3623c; --other: #a99cf0;
    --warn: #f0c060; --warn-back: #2b2413; --bad: #ff8f8f; --bad-back: #331a1c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
main { max-width: 1080px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .5rem; letter-spacing: -.005em; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p { margin: .4rem 0; max-width: 75ch; }
.soft, figcaption { color: var(--soft); }
.lead { font-size: 1.05rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: .9rem;
  margin: 1.2rem 0 .6rem; padding: 0; list-style: none; }
.cards li { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: .9rem 1rem; }
.cards b { display: block; font-size: 1.9rem; line-height: 1.15; color: var(--squeezebert-ours);
  font-variant-numeric: tabular-nums; }
.cards small { color: var(--soft); display: block; }
figure { margin: 1.2rem 0; background: var(--card); border: 1px solid var(--rule);
  border-radius: 10px; padding: 1rem 1.1rem; }
figure h3 { margin: 0; font-size: 1.05rem; }
figcaption { font-size: .92rem; margin-bottom: .5rem; }
figure svg { width: 100%; height: auto; display: block; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--rule);
  border-radius: 10px; margin: .6rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .45rem .7rem; text-align: right; border-top: 1px solid var(--rule);
  vertical-align: top; }
thead th { border-top: 0; color: var(--soft); font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; min-width: 11.5rem; }
td.word { text-align: left; }
time, .keep { white-space: nowrap; }
td small { color: var(--soft); display: block; white-space: nowrap; }
tbody th { font-weight: 600; }
.key { display: inline-block; width: .7rem; height: .7rem; border-radius: 2px;
  margin-right: .45rem; }
code { font: .86em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  overflow-wrap: anywhere; }
details { border-top: 1px solid var(--rule); padding: .5rem 0; }
summary { cursor: pointer; font-weight: 600; }
.notes { padding: 0; list-style: none; }
.notes li { border-left: 4px solid var(--warn); background: var(--warn-back);
  padding: .5rem .8rem; margin: .5rem 0; border-radius: 0 8px 8px 0; font-size: .93rem; }
.notes li.bad { border-color: var(--bad); background: var(--bad-back); }
.notes li.plain { border-color: var(--rule); background: none; }
.badge { display: inline-block; border-radius: 999px; padding: .05rem .6rem; font-size: .82rem;
  font-weight: 600; background: var(--warn-back); color: var(--warn);
  border: 1px solid var(--warn); margin-left: .5rem; vertical-align: middle; }
.emulated { border-left: 4px solid var(--warn); background: var(--warn-back);
  padding: .5rem .8rem; border-radius: 0 8px 8px 0; font-weight: 600; }
@media print { .scroll, figure { break-inside: avoid; } details { display: block; } }
"""

# The ladder page: rungs under each other, so that nothing scrolls sideways on a phone.
LADDER_CSS = """
main { max-width: 720px; }
.paper { border: 1px dashed var(--soft); border-radius: 10px; padding: .8rem 1rem; margin: 1rem 0;
  color: var(--soft); }
.paper strong { color: var(--ink); }
.ladder { list-style: none; padding: 0; margin: .8rem 0; display: grid; gap: .7rem; }
.ladder li { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: .7rem 1rem; }
.ladder h3 { margin: 0; }
.ladder p { margin: .15rem 0; }
.ladder .figures { display: flex; flex-wrap: wrap; gap: .1rem 1.4rem; align-items: baseline;
  font-variant-numeric: tabular-nums; }
.ladder b { font-size: 1.3rem; }
.ladder small { color: var(--soft); }
.bar { background: var(--rule); border-radius: 4px; height: .6rem; margin: .35rem 0; }
.bar i { display: block; height: 100%; border-radius: 4px; min-width: 2px; }
.of-paper { color: var(--soft); font-style: italic; }
.ladder .missing { border-style: dashed; background: none; }
.missing h3, .missing p { color: var(--soft); }
.remarks { padding-left: 1.1rem; color: var(--soft); }
"""
