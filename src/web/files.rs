//! The files of the page, as they are in this program.

/// A file of the page.
pub(super) struct PageFile {
    pub content_type: &'static str,
    pub text: &'static str,
}

macro_rules! page_files {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("page/", $name)))),*]
    };
}

const FILES: &[(&str, &str)] = page_files![
    "index.html" "style.css" "main.js" "address.js" "ask.js" "detector.js" "exact.js" "form.js"
    "groups.js" "navigator.js" "notice.js" "plot.js" "run.js" "scan.js" "signal.js" "state.js" "words.js"
];

/// A file by its name, that of the page itself if there is none.
pub(super) fn named(name: &str) -> Option<PageFile> {
    let name = if name.is_empty() { "index.html" } else { name };
    let (name, text) = FILES.iter().find(|(known, _)| *known == name)?;
    let content_type = match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        _ => "text/javascript; charset=utf-8",
    };
    Some(PageFile { content_type, text })
}
