/// How images are drawn on a terminal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
#[non_exhaustive]
pub enum Graphics {
    /// As the variables of the environment say that the terminal can. It is not asked itself, since one
    /// that does not answer would keep the program waiting
    #[default]
    Auto,
    /// The graphics protocol of kitty, which Ghostty has too
    Kitty,
    /// The inline images of iTerm2, which WezTerm and mintty have too
    Iterm2,
    /// Characters, each of which is two pixels
    Blocks,
}
