use pixel_iqn_core::Labels;

use crate::Error;

/// The classes of a class-conditional model, by number and, where they have them, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Classes {
    count: usize,
    names: Vec<String>,
}

impl Classes {
    /// `count` classes; `names` has one for each, or none at all.
    ///
    /// # Panics
    ///
    /// Panics if there are names and their number is another.
    pub fn new(count: usize, names: Vec<String>) -> Self {
        assert!(
            names.is_empty() || names.len() == count,
            "{} names were given for {count} classes",
            names.len()
        );
        Self { count, names }
    }

    /// How many there are; 0 for an unconditional model.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none: the model is unconditional.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The name of each class, or nothing where they have none.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The class that a text names: a name first, then `#2` for the class with index 2, and where the
    /// classes have no names, `2` alone too.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] with the names of all classes.
    pub fn parse(&self, text: &str) -> Result<usize, Error> {
        if let Some(class) = self.named(text) {
            return Ok(class);
        }
        let index = match text.strip_prefix('#') {
            Some(index) => Some(index),
            None if self.names.is_empty() => Some(text),
            None => None,
        };
        let class = index.and_then(|index| index.parse().ok());
        class
            .filter(|&class| class < self.count)
            .ok_or_else(|| Error::Request(format!("there is no class `{text}`: {self}")))
    }

    fn named(&self, text: &str) -> Option<usize> {
        self.names.iter().position(|name| name == text)
    }

    /// The labels of `count` images that a text asks for: the name of a class first, then `spread` goes round the classes, `none` is
    /// no class, one class is for all images, and classes between commas are one for each.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] for what is no class, for another number of classes than images, and for
    /// any text but `none` where the model has no classes.
    pub fn labels(&self, text: &str, count: usize) -> Result<Labels, Error> {
        // A class may have the name of a keyword.
        if let Some(class) = self.named(text).or_else(|| self.named(text.trim())) {
            return Ok(Labels::One(class));
        }
        match (text, self.count) {
            ("none", 0) => return Ok(Labels::None),
            (_, 0) => {
                return Err(Error::Request(
                    "the model takes no labels: it was trained without classes".into(),
                ));
            }
            ("spread", _) => return Ok(Labels::Spread),
            ("none", _) => return Ok(Labels::Unlabelled),
            _ => (),
        }
        if let Ok(class) = self.parse(text.trim()) {
            return Ok(Labels::One(class));
        }
        let one = |text: &str| match (self.named(text), text.trim()) {
            (Some(class), _) => Ok(Some(class)),
            (None, "none") if self.named("none").is_none() => Ok(None),
            (None, name) => self.parse(name).map(Some),
        };
        let labels = text
            .split(',')
            .map(one)
            .collect::<Result<Vec<_>, Error>>()?;
        if labels.len() != count {
            return Err(Error::Request(format!(
                "{} labels were given for {count} images: give one for all, or one for each",
                labels.len()
            )));
        }
        Ok(Labels::PerImage(labels))
    }
}

impl std::fmt::Display for Classes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.count, &self.names[..]) {
            (0, _) => write!(f, "the model has no classes"),
            (count, []) => write!(f, "the classes are #0 to #{}", count - 1),
            (_, names) => {
                let names = names.iter().enumerate();
                // A blank that one cannot see is part of the name.
                let shown = |name: &String| match name.trim() == name {
                    true => name.clone(),
                    false => format!("{name:?}"),
                };
                let list: Vec<String> = names
                    .map(|(i, name)| format!("{} (#{i})", shown(name)))
                    .collect();
                write!(f, "the classes are {}", list.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered() -> Classes {
        let names = ["0", "1", "10", "cat, small"].map(String::from);
        Classes::new(4, names.to_vec())
    }

    #[test]
    fn blanks_around_a_name_are_part_of_it() {
        let classes = Classes::new(2, vec!["dog".into(), "cat ".into()]);
        assert_eq!(classes.labels("cat ", 3).unwrap(), Labels::One(1));
        assert_eq!(classes.labels(" dog ", 3).unwrap(), Labels::One(0));
        let both = Labels::PerImage(vec![Some(1), Some(0)]);
        assert_eq!(classes.labels("cat , dog", 2).unwrap(), both);
        let error = classes.labels("cat", 1).unwrap_err().to_string();
        assert!(error.contains("dog (#0), \"cat \" (#1)"), "{error}");
    }

    #[test]
    fn names_come_before_numbers() {
        let classes = numbered();
        assert_eq!(classes.parse("10").unwrap(), 2);
        assert_eq!(classes.parse("#1").unwrap(), 1);
        for wrong in ["2", "#4", "dog", ""] {
            let error = classes.parse(wrong).unwrap_err().to_string();
            assert!(error.contains("10 (#2)"), "{error}");
        }
        assert_eq!(Classes::new(3, Vec::new()).parse("2").unwrap(), 2);
    }

    #[test]
    fn classes_called_as_keywords_are_classes() {
        let classes = Classes::new(3, ["a", "none", "spread"].map(String::from).to_vec());
        let labels = |text, count| classes.labels(text, count).unwrap();
        assert_eq!(labels("none", 2), Labels::One(1));
        assert_eq!(labels("spread", 2), Labels::One(2));
        let each = Labels::PerImage(vec![Some(1), Some(0)]);
        assert_eq!(labels("none,a", 2), each);
    }

    #[test]
    fn labels_are_for_all_or_for_each() {
        let classes = numbered();
        let labels = |text, count| classes.labels(text, count);
        assert_eq!(labels("spread", 7).unwrap(), Labels::Spread);
        assert_eq!(labels("none", 7).unwrap(), Labels::Unlabelled);
        assert_eq!(labels("10", 7).unwrap(), Labels::One(2));
        assert_eq!(labels("cat, small", 7).unwrap(), Labels::One(3));
        let each = Labels::PerImage(vec![Some(2), None, Some(1)]);
        assert_eq!(labels("10, none, #1", 3).unwrap(), each);
        assert!(labels("10,1", 3).is_err());
        assert_eq!(Classes::default().labels("none", 1).unwrap(), Labels::None);
        assert!(Classes::default().labels("spread", 1).is_err());
    }
}
