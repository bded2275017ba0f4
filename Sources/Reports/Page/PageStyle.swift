// How a page looks: light and dark as the reader's system is, plain when printed.

/// The style sheet of a page.
enum PageStyle {
    static let css = """
        :root { color-scheme: light dark; --back: #ffffff; --text: #1d2126; --soft: #5b6470; --rule: #d9dee4; --panel: #f6f8fa;
          --c0: #1b6ca8; --c1: #c43c4f; --c2: #2a7f37; --c3: #7d4fa8; --c4: #a86200; --c5: #00798a; --c6: #a03a86; --c7: #555b63; }
        @media (prefers-color-scheme: dark) { :root { --back: #14171b; --text: #e4e8ec; --soft: #9aa5b1; --rule: #333b44;
          --panel: #1c2127; --c0: #6db3ea; --c1: #f08594; --c2: #74c982; --c3: #bd97e4; --c4: #e6ab5c; --c5: #5cc4d4; --c6: #dd8dc6;
          --c7: #aab2bb; } }
        * { box-sizing: border-box; }
        body { margin: 0 auto; max-width: 76rem; padding: 1rem; background: var(--back); color: var(--text);
          font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
        h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
        nav a { margin-right: 1rem; } a { color: var(--c0); } a:focus-visible, summary:focus-visible { outline: 3px solid var(--c0); }
        .grid-of-charts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); }
        figure { margin: 0; padding: .75rem; background: var(--panel); border: 1px solid var(--rule); border-radius: .4rem;
          min-width: 0; }
        figcaption { font-weight: 600; } .unit { font-weight: 400; color: var(--soft); }
        svg { width: 100%; height: auto; display: block; } svg text { font-size: 12px; fill: var(--soft); }
        svg .end { text-anchor: end; } svg .middle { text-anchor: middle; }
        .grid { stroke: var(--rule); fill: none; } .line { fill: none; stroke-width: 2; } .best { fill: none; stroke-width: 2; }
        .line.c0, .best.c0 { stroke: var(--c0); } .line.c1, .best.c1 { stroke: var(--c1); } .line.c2, .best.c2 { stroke: var(--c2); }
        .line.c3, .best.c3 { stroke: var(--c3); } .line.c4, .best.c4 { stroke: var(--c4); } .line.c5, .best.c5 { stroke: var(--c5); }
        .line.c6, .best.c6 { stroke: var(--c6); } .line.c7, .best.c7 { stroke: var(--c7); }
        .dot.c0, .key.c0 { fill: var(--c0); background: var(--c0); } .dot.c1, .key.c1 { fill: var(--c1); background: var(--c1); }
        .dot.c2, .key.c2 { fill: var(--c2); background: var(--c2); } .dot.c3, .key.c3 { fill: var(--c3); background: var(--c3); }
        .dot.c4, .key.c4 { fill: var(--c4); background: var(--c4); } .dot.c5, .key.c5 { fill: var(--c5); background: var(--c5); }
        .dot.c6, .key.c6 { fill: var(--c6); background: var(--c6); } .dot.c7, .key.c7 { fill: var(--c7); background: var(--c7); }
        .legend { list-style: none; margin: .25rem 0; padding: 0; display: flex; flex-wrap: wrap; gap: .25rem 1rem;
          font-size: .85rem; } .key { display: inline-block; width: 1rem; height: .3rem; margin-right: .4rem; vertical-align: middle; }
        .scroll { overflow-x: auto; } table { border-collapse: collapse; margin: .5rem 0; font-size: .9rem; }
        caption { text-align: left; color: var(--soft); } th, td { border-bottom: 1px solid var(--rule); padding: .2rem .75rem .2rem 0;
          text-align: left; vertical-align: top; overflow-wrap: normal; } th[scope=row] { font-weight: 400; color: var(--soft); }
        td { font-variant-numeric: tabular-nums; } details { margin: .5rem 0; } footer { margin: 3rem 0 1rem; color: var(--soft); }
        @media print { body { max-width: none; font-size: 11px; } nav { display: none; } figure { break-inside: avoid; } }
        """
}
