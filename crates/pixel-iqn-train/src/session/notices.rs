/// A function that is called with each notice.
pub(super) type OnNotice = Box<dyn FnMut(&str) + Send>;

/// Lines of text that a user should see, kept while there is nowhere to show them.
pub(super) struct Notices {
    waiting: Vec<String>,
    held: bool,
    on_notice: OnNotice,
}

impl Notices {
    /// Keeps all notices until they are [released](Self::release).
    pub fn held() -> Self {
        Self {
            waiting: Vec::new(),
            held: true,
            on_notice: Box::new(|_| ()),
        }
    }

    pub fn listen(&mut self, on_notice: OnNotice) {
        self.on_notice = on_notice;
    }

    pub fn push(&mut self, notice: impl Into<String>) {
        self.waiting.push(notice.into());
        if !self.held {
            self.tell();
        }
    }

    /// Keeps what comes from now on.
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// Tells what was kept, and what comes from now on at once.
    pub fn release(&mut self) {
        self.held = false;
        self.tell();
    }

    fn tell(&mut self) {
        for notice in self.waiting.drain(..) {
            (self.on_notice)(&notice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn held_notices_come_in_order_when_they_are_released() {
        let (sender, heard) = mpsc::channel();
        let mut notices = Notices::held();
        notices.push("one");
        notices.listen(Box::new(move |line| sender.send(line.to_owned()).unwrap()));
        notices.push("two");
        assert!(heard.try_recv().is_err());
        notices.release();
        notices.push("three");
        notices.hold();
        notices.push("four");
        let lines: Vec<String> = heard.try_iter().collect();
        assert_eq!(lines, ["one", "two", "three"]);
    }
}
