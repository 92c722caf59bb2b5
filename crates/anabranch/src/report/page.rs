//! The page around a report's parts.

use crate::plot::escape;

const STYLE: &str = "
:root { color-scheme: light dark; --paper:#ffffff; --ink:#1b1f24; --muted:#57606a; --grid:#dfe3e8; --shade:#f5f7f9; --link:#0b62b0;
  --c0:#0072b2; --c1:#d55e00; --c2:#009e73; --c3:#b8578e; --c4:#b07d00; --c5:#3a9bd6; }
@media (prefers-color-scheme: dark) { :root { --paper:#14171b; --ink:#e6e9ed; --muted:#a3acb6; --grid:#343b43; --shade:#1d2228; --link:#7ab8f5;
  --c0:#56a8e0; --c1:#ff8a3c; --c2:#2cc79a; --c3:#e08bbb; --c4:#e3b341; --c5:#9bd3f5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 72rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; }
h1 { margin: 0 0 .2rem; font-size: 1.6rem; line-height: 1.25; }
h2 { margin: 2.4rem 0 .6rem; padding-bottom: .25rem; border-bottom: 1px solid var(--grid); font-size: 1.2rem; }
h3 { margin: 1.6rem 0 .4rem; font-size: 1rem; }
p { margin: .4rem 0; max-width: 60rem; }
.muted { color: var(--muted); }
.headline { margin: 1rem 0 .4rem; }
.headline .value { font-size: 1.9rem; font-weight: 650; font-variant-numeric: tabular-nums; }
.headline .label { font-size: 1.05rem; }
.warning { padding: .3rem .8rem; border-left: 3px solid var(--c1); background: var(--shade); }
.row { display: flex; flex-wrap: wrap; gap: 1.2rem 1.6rem; align-items: flex-start; }
.strips { display: flex; flex-wrap: wrap; gap: .4rem; align-items: flex-start; }
figure { margin: .4rem 0; max-width: 100%; }
figcaption { color: var(--muted); font-size: .85rem; max-width: 34rem; }
.strips figcaption { text-align: center; }
.wide { overflow-x: auto; }
img, svg { max-width: 100%; }
table { border-collapse: collapse; font-size: .93rem; }
th, td { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--grid); text-align: left; vertical-align: top; }
thead th { color: var(--muted); font-weight: 600; }
tbody th { font-weight: 500; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th.number { text-align: right; white-space: nowrap; }
tbody th { white-space: nowrap; }
td.best { font-weight: 700; }
td.muted { min-width: 18rem; }
td, th { overflow-wrap: anywhere; }
th small { display: block; max-width: 44rem; color: var(--muted); font-weight: 400; }
table.measures { width: 100%; }
table.measures th { white-space: normal; }
pre { margin: .6rem 0; padding: .8rem 1rem; overflow-x: auto; background: var(--shade); border: 1px solid var(--grid); border-radius: 6px;
  font: 13px/1.45 ui-monospace, 'DejaVu Sans Mono', monospace; }
details { margin: .3rem 0; }
summary { padding: .15rem 0; cursor: pointer; color: var(--link); overflow-wrap: anywhere; }
a { color: var(--link); }
@media (max-width: 36rem) { body { padding: 1rem .75rem 3rem; } .headline .value { font-size: 1.5rem; }
  td, th { padding-right: .5rem; } table.measures td.number { white-space: normal; } table.facts, table.facts tbody, table.facts tr, table.facts th, table.facts td { display: block; }
  table.facts th { border: 0; padding-bottom: 0; } }
";

/// A whole page. `body` is markup, `title` is text.
pub(super) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )
}

/// A heading and what stands under it.
pub(super) fn section(heading: &str, body: &str) -> String {
    format!("<section>\n<h2>{}</h2>\n{body}\n</section>\n", escape(heading))
}

/// A paragraph of text in a lighter ink.
pub(super) fn note(text: &str) -> String {
    format!("<p class=\"muted\">{}</p>\n", escape(text))
}

/// A picture with the text under it.
pub(super) fn figure(picture: &str, caption: &str) -> String {
    let caption = if caption.is_empty() {
        String::new()
    } else {
        format!("<figcaption>{}</figcaption>", escape(caption))
    };
    format!("<figure>{picture}{caption}</figure>\n")
}

/// Figures next to each other, as many as fit.
pub(super) fn row(figures: &[String]) -> String {
    format!("<div class=\"row\">\n{}</div>\n", figures.concat())
}

/// Text as it is.
pub(super) fn verbatim(text: &str) -> String {
    format!("<pre>{}</pre>\n", escape(text))
}

/// Text that opens on demand.
pub(super) fn folded(summary: &str, text: &str) -> String {
    fold(summary, &verbatim(text))
}

/// Markup that opens on demand.
pub(super) fn fold(summary: &str, body: &str) -> String {
    format!("<details><summary>{}</summary>\n{body}</details>\n", escape(summary))
}

/// What is not to be overlooked.
pub(super) fn warning(text: &str) -> String {
    format!("<p class=\"warning\">{}</p>\n", escape(text))
}

/// Lines of `label value` as a table; a line without a label of its own goes on with the one before.
pub(super) fn facts(text: &str) -> String {
    let mut rows: Vec<(&str, String)> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match (line.starts_with(char::is_whitespace), rows.last_mut()) {
            (true, Some((_, value))) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            _ => {
                let (label, value) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
                rows.push((label, value.trim().to_owned()));
            }
        }
    }
    let cells: String = rows
        .iter()
        .map(|(label, value)| format!("<tr><th>{}</th><td>{}</td></tr>\n", escape(label), escape(value)))
        .collect();
    format!("<table class=\"facts\"><tbody>\n{cells}</tbody></table>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_become_rows() {
        let table =
            facts("space       R^2\nkernel      flow: log |det dg/dz|\n            and more\nlone\n\n");
        assert!(table.contains("<tr><th>space</th><td>R^2</td></tr>"));
        assert!(table.contains("<td>flow: log |det dg/dz| and more</td>"));
        assert!(table.contains("<tr><th>lone</th><td></td></tr>"));
    }
}
