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
        .c0 { --own: var(--c0); } .c1 { --own: var(--c1); } .c2 { --own: var(--c2); } .c3 { --own: var(--c3); }
        .c4 { --own: var(--c4); } .c5 { --own: var(--c5); } .c6 { --own: var(--c6); } .c7 { --own: var(--c7); }
        .grid { stroke: var(--rule); fill: none; } .line, .best { stroke: var(--own); fill: none; stroke-width: 2; }
        .dot { fill: var(--own); } .key { background: var(--own); }
        .legend { list-style: none; margin: .25rem 0; padding: 0; display: flex; flex-wrap: wrap; gap: .25rem 1rem;
          font-size: .85rem; } .key { display: inline-block; width: 1rem; height: .3rem; margin-right: .4rem; vertical-align: middle; }
        .scroll { overflow-x: auto; } table { border-collapse: collapse; margin: .5rem 0; font-size: .9rem;
          width: max-content; max-width: 60rem; }
        caption { text-align: left; color: var(--soft); } th, td { border-bottom: 1px solid var(--rule); padding: .2rem .75rem .2rem 0;
          text-align: left; vertical-align: top; overflow-wrap: normal; } th[scope=row] { font-weight: 400; color: var(--soft); }
        td { font-variant-numeric: tabular-nums; } details { margin: .5rem 0; } footer { margin: 3rem 0 1rem; color: var(--soft); }
        @media print { :root { font-size: 11px; } body { max-width: none; font-size: 1rem; } nav { display: none; }
          table { width: auto; max-width: 100%; } figure { break-inside: avoid; } }
        """
}
