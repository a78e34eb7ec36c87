//! Keys of the reports: where they go and what they look like.

use clap::Args;

use crate::config::values::{self, Formats};
use crate::destinations::DestinationConfig;
use crate::report::format::Options;

/// Where reports go and what they look like.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// What reports look like: default, json, csv, markdown, brief; comma between. A directory always has json too.
    #[arg(
        long, env = "BLACKBOX_OUTPUT_FORMATTERS", default_value = "default",
        value_parser = values::formats
    )]
    pub output_formatters: Formats,
    /// Most tokens of a brief (what a language model reads of a report), 256 to 32768.
    #[arg(
        long, env = "BLACKBOX_BRIEF_TOKENS", default_value_t = Options::BRIEF_TOKENS,
        value_parser = clap::value_parser!(u32).range(256..=32768)
    )]
    pub brief_tokens: u32,
    /// A directory, stdout, or an http(s) URL; comma between several.  [default: /var/log/blackbox]
    #[arg(
        long, env = "BLACKBOX_OUTPUT_PATH", value_delimiter = ',',
        value_parser = values::destination
    )]
    pub output_path: Vec<DestinationConfig>,
    /// v1's JSON array of {"type": file|stdout|http, "config": {"path"|"url": …}}; instead of --output-path.
    #[arg(long, env = "BLACKBOX_EMITTERS")]
    pub emitters: Option<String>,
    /// An http(s) URL that gets every report besides.
    #[arg(long, env = "BLACKBOX_HTTP_ENDPOINT", value_parser = values::http_url)]
    pub http_endpoint: Option<DestinationConfig>,
    /// Most report files kept in a directory.
    #[arg(
        long, env = "BLACKBOX_OUTPUT_MAX_FILES", default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub output_max_files: u32,
    /// Most bytes of report files kept in a directory.
    #[arg(
        long, env = "BLACKBOX_OUTPUT_MAX_BYTES", default_value = "512MiB",
        value_parser = values::window_bytes
    )]
    pub output_max_bytes: u64,
    /// Bytes that each directory keeps ready for reports that find the disk full: 64KiB to 16MiB, or 0 for none.
    #[arg(
        long, env = "BLACKBOX_OUTPUT_RESERVE_BYTES", default_value = "4MiB",
        value_parser = values::reserve_bytes
    )]
    pub output_reserve_bytes: u64,
    /// Beside each report in a directory, its bundle: everything it was made from, to be replayed later.
    #[arg(
        long, env = "BLACKBOX_OUTPUT_BUNDLES", default_value = "true", value_parser = values::go_bool,
        action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true"
    )]
    pub output_bundles: bool,
}
