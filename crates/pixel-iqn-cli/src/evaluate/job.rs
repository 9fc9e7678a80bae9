use pixel_iqn::terminal::Terminal;

/// How to evaluate, whatever is evaluated.
pub struct Job<'a> {
    pub terminal: &'a Terminal,
    pub device: &'a str,
    pub batch: usize,
    pub seed: u64,
}
