//! What a reader of Markdown makes of a page, without its words. Shared with `tests/pipeline`.

use pulldown_cmark::{Event, Options, Parser, Tag};

/// Headings, lists, tables, blocks, links, HTML and code spans of a page, in order. Two pages with the same structure
/// differ in plain text only. What a code span says counts: only ids and names of ours stand in one.
pub(crate) fn structure(page: &str) -> Vec<String> {
    let github = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_GFM
        | Options::ENABLE_MATH
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_DEFINITION_LIST
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    Parser::new_ext(page, github)
        .filter_map(|event| match event {
            Event::Text(_) | Event::SoftBreak | Event::HardBreak | Event::End(_) => None,
            other => Some(format!("{other:?}")),
        })
        .collect()
}

/// The same without what only changes how words look, which briefs leave alone.
pub(crate) fn blocks_and_links(page: &str) -> Vec<String> {
    let mut all = structure(page);
    let looks =
        [Tag::Emphasis, Tag::Strong, Tag::Strikethrough].map(|tag| format!("Start({tag:?})"));
    all.retain(|event| {
        !looks.contains(event)
            && !event.starts_with("InlineMath")
            && !event.starts_with("DisplayMath")
    });
    all
}
