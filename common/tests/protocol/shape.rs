//! The form of a type on the wire, as its decoder asks for it.

use std::collections::BTreeMap;

/// The structure of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Not met yet: the other branch of an option or a result.
    Unknown,
    /// A number, a string, or a type that has a definition of its own.
    Named(String),
    /// 0, or 1 and the value.
    Option(Box<Shape>),
    /// 0 and the one, or 1 and the other.
    Result(Box<Shape>, Box<Shape>),
    /// A length, and that many elements.
    List(Box<Shape>),
    /// One after another.
    Tuple(Vec<Shape>),
}

impl Shape {
    pub(crate) fn named(name: &str) -> Self {
        Self::Named(name.to_owned())
    }

    /// Merges the results of two decodings of the same type.
    pub(crate) fn merge(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, known) | (known, Self::Unknown) => known,
            (Self::Option(a), Self::Option(b)) => Self::Option(Box::new(a.merge(*b))),
            (Self::List(a), Self::List(b)) => Self::List(Box::new(a.merge(*b))),
            (Self::Result(a, x), Self::Result(b, y)) => {
                Self::Result(Box::new(a.merge(*b)), Box::new(x.merge(*y)))
            }
            (Self::Tuple(a), Self::Tuple(b)) if a.len() == b.len() => {
                Self::Tuple(a.into_iter().zip(b).map(|(a, b)| a.merge(b)).collect())
            }
            (a, b) => {
                assert_eq!(a, b, "one type decodes in two ways");
                a
            }
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => f.write_str("?"),
            Self::Named(name) => f.write_str(name),
            Self::Option(of) => write!(f, "option {of}"),
            Self::Result(ok, error) => write!(f, "0 {ok} or 1 {error}"),
            Self::List(of) => write!(f, "list of {of}"),
            Self::Tuple(parts) if parts.len() > 3 && parts.iter().all(|part| *part == parts[0]) => {
                write!(f, "{} times {}", parts.len(), parts[0])
            }
            Self::Tuple(parts) => write!(f, "({})", joined(parts.iter().map(ToString::to_string))),
        }
    }
}

/// The content of a message or a type of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fields {
    /// Nothing.
    None,
    /// Values without names.
    Values(Vec<Shape>),
    /// Values with names.
    Struct(Vec<(&'static str, Shape)>),
}

impl Fields {
    fn merge(self, other: Self) -> Self {
        match (self, other) {
            (Self::Values(a), Self::Values(b)) if a.len() == b.len() => {
                Self::Values(a.into_iter().zip(b).map(|(a, b)| a.merge(b)).collect())
            }
            (Self::Struct(a), Self::Struct(b)) if a.len() == b.len() => {
                Self::Struct(a.into_iter().zip(b).map(|((name, a), (_, b))| (name, a.merge(b))).collect())
            }
            (a, b) => {
                assert_eq!(a, b, "one type decodes in two ways");
                a
            }
        }
    }
}

impl std::fmt::Display for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&match self {
            Self::None => String::new(),
            Self::Values(values) => joined(values.iter().map(ToString::to_string)),
            Self::Struct(fields) => joined(fields.iter().map(|(name, of)| format!("{name}: {of}"))),
        })
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

/// A type that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Definition {
    /// Its fields, one after another.
    Struct(Fields),
    /// The number of a variant, and its fields.
    Enum(Vec<(&'static str, Fields)>),
}

/// All types that messages are made of, by name.
pub(crate) type Definitions = BTreeMap<String, Definition>;

/// Adds what one decoding has shown of a struct.
pub(crate) fn define_struct(all: &mut Definitions, name: &str, fields: Fields) {
    let fields = match all.remove(name) {
        Some(Definition::Struct(known)) => known.merge(fields),
        Some(other) => panic!("{name} is a struct and {other:?}"),
        None => fields,
    };
    all.insert(name.to_owned(), Definition::Struct(fields));
}

/// Adds what one decoding has shown of an enum.
pub(crate) fn define_variant(
    all: &mut Definitions,
    name: &str,
    variants: &[&'static str],
    index: usize,
    fields: Fields,
) {
    let unmet = || variants.iter().map(|variant| (*variant, Fields::None)).collect();
    let known = all.entry(name.to_owned()).or_insert_with(|| Definition::Enum(unmet()));
    let Definition::Enum(known) = known else { panic!("{name} is an enum and {known:?}") };
    assert!(known.iter().map(|(variant, _)| variant).eq(variants), "two enums are called {name}");
    let place = &mut known[index].1;
    *place = match std::mem::replace(place, Fields::None) {
        Fields::None => fields,
        met => met.merge(fields),
    };
}
