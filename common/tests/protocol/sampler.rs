//! Values of every form that a message can have, made by the message's own decoder: it asks for one field
//! after another, and is given numbers of every width, short strings, and one variant of each enum after
//! another. So a new message has its samples without a line written for it.

use crate::shape::{Definitions, Fields, Shape, define_struct, define_variant};
use serde::de::value::{Error, U32Deserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, SeqAccess,
    VariantAccess, Visitor,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The variant to make of each enum; 0 for enums that are not listed.
type Plan = BTreeMap<String, usize>;

const OPTION: &str = "Option";
const RESULT: &str = "Result";

/// Samples of a type: of an enum each variant, and with the first that holds it each variant of every enum
/// inside.
pub(crate) fn samples<T: DeserializeOwned>(label: &str, all: &mut Definitions) -> Vec<T> {
    let (mut samples, mut planned) = (Vec::new(), BTreeSet::new());
    let mut plans = VecDeque::from([(0, Plan::new())]);
    while let Some((top, plan)) = plans.pop_front() {
        let mut run = Run { label, is_top: true, plan, met: Vec::new(), next: 0, shape: Shape::Unknown, all };
        samples.push((top, T::deserialize(Sampler(&mut run)).unwrap()));
        let (met, plan) = (run.met, run.plan);
        for (name, variants) in met {
            for index in (0..variants).filter(|index| plan.get(&name).is_none_or(|has| has != index)) {
                let is_top = name == label;
                // Options and results have another meaning in each message.
                let scope = if name == OPTION || name == RESULT { top } else { usize::MAX };
                if planned.insert((scope, name.clone(), index)) && (index > 0 || plan.contains_key(&name)) {
                    let mut next = plan.clone();
                    next.insert(name.clone(), index);
                    plans.push_back((if is_top { index } else { top }, next));
                }
            }
        }
    }
    samples.sort_by_key(|(top, _)| *top);
    samples.into_iter().map(|(_, sample)| sample).collect()
}

struct Run<'a> {
    label: &'a str,
    is_top: bool,
    plan: Plan,
    met: Vec<(String, usize)>,
    next: u64,
    /// The shape of the value that was made last.
    shape: Shape,
    all: &'a mut Definitions,
}

impl Run<'_> {
    /// Returns the variant to make of an enum.
    fn choose(&mut self, name: &str, variants: usize) -> usize {
        if !self.met.iter().any(|(met, _)| met == name) {
            self.met.push((name.to_owned(), variants));
        }
        self.plan.get(name).copied().unwrap_or_default()
    }

    /// The next number: as bincode writes it, of one, three, five and nine bytes in turn.
    fn number(&mut self, bits: u32) -> u64 {
        self.next += 1;
        let widths: &[u64] = match bits {
            8 => &[0],
            16 => &[0, 300],
            32 => &[0, 300, 70_000],
            _ => &[0, 300, 70_000, 5_000_000_000],
        };
        widths[self.next as usize % widths.len()] + self.next
    }

    fn is(&mut self, shape: &str) {
        self.shape = Shape::named(shape);
    }
}

struct Sampler<'r, 'a>(&'r mut Run<'a>);

/// Gives the elements of a sequence, and keeps their shapes.
struct Elements<'r, 'a> {
    run: &'r mut Run<'a>,
    left: usize,
    shapes: Vec<Shape>,
}

impl<'de> SeqAccess<'de> for &mut Elements<'_, '_> {
    type Error = Error;
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let element = seed.deserialize(Sampler(self.run))?;
        self.shapes.push(std::mem::replace(&mut self.run.shape, Shape::Unknown));
        Ok(Some(element))
    }
}

fn sequence<'de, V: Visitor<'de>>(
    run: &mut Run<'_>,
    length: usize,
    visitor: V,
) -> Result<(V::Value, Vec<Shape>), Error> {
    let mut elements = Elements { run, left: length, shapes: Vec::new() };
    let value = visitor.visit_seq(&mut elements)?;
    assert_eq!(elements.left, 0, "a decoder leaves fields out");
    Ok((value, elements.shapes))
}

fn named(fields: &'static [&'static str], shapes: Vec<Shape>) -> Fields {
    Fields::Struct(fields.iter().copied().zip(shapes).collect())
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ident $bits:literal),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let number = self.0.number($bits) as $type;
            self.0.is(stringify!($type));
            visitor.$visit(number)
        }
    )*};
}

macro_rules! refused {
    ($($method:ident($($argument:ty),*)),*) => {$(
        fn $method<V: Visitor<'de>>(self, $(_: $argument,)* _: V) -> Result<V::Value, Error> {
            Err(Error::custom(concat!(stringify!($method), " is not described in docs/protocol.md")))
        }
    )*};
}

impl<'de> Deserializer<'de> for Sampler<'_, '_> {
    type Error = Error;

    fn is_human_readable(&self) -> bool {
        false
    }

    numbers!(
        deserialize_u8 visit_u8 u8 8, deserialize_u16 visit_u16 u16 16, deserialize_u32 visit_u32 u32 32,
        deserialize_u64 visit_u64 u64 64
    );

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let number = self.0.number(64).cast_signed();
        self.0.is("i64");
        visitor.visit_i64(if number % 2 == 0 { number } else { -number })
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let number = u128::from(self.0.number(64));
        self.0.is("u128");
        visitor.visit_u128(number << 64 | number)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let number = self.0.number(16);
        self.0.is("f64");
        visitor.visit_f64(number as f64 + 0.5)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.is("bool");
        visitor.visit_bool(true)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    /// A string that is a name, too, wherever one is asked for.
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let number = self.0.number(8);
        self.0.is("string");
        visitor.visit_string(format!("s{number}"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = if self.0.choose(OPTION, 2) == 0 {
            visitor.visit_some(Sampler(self.0))?
        } else {
            self.0.shape = Shape::Unknown;
            visitor.visit_none()?
        };
        self.0.shape = Shape::Option(Box::new(std::mem::replace(&mut self.0.shape, Shape::Unknown)));
        Ok(value)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (value, mut shapes) = sequence(self.0, 1, visitor)?;
        self.0.shape = Shape::List(Box::new(shapes.remove(0)));
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        let (value, shapes) = sequence(self.0, length, visitor)?;
        self.0.shape = Shape::Tuple(shapes);
        Ok(value)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.is("nothing");
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let value = visitor.visit_newtype_struct(Sampler(self.0))?;
        let inner = std::mem::replace(&mut self.0.shape, Shape::named(name));
        define_struct(self.0.all, name, Fields::Values(vec![inner]));
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.is_top = false;
        let (value, shapes) = sequence(self.0, fields.len(), visitor)?;
        define_struct(self.0.all, name, named(fields, shapes));
        self.0.is(name);
        Ok(value)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let is_top = std::mem::take(&mut self.0.is_top);
        let name = if is_top { self.0.label.to_owned() } else { name.to_owned() };
        let index = self.0.choose(&name, variants.len());
        let mut fields = Fields::None;
        let value = visitor.visit_enum(Variant { run: self.0, index, fields: &mut fields })?;
        if name == RESULT {
            let Fields::Values(mut branch) = fields else { panic!("a result of nothing") };
            let (branch, other) = (Box::new(branch.remove(0)), Box::new(Shape::Unknown));
            self.0.shape =
                if index == 0 { Shape::Result(branch, other) } else { Shape::Result(other, branch) };
        } else {
            define_variant(self.0.all, &name, variants, index, fields);
            self.0.is(&name);
        }
        Ok(value)
    }

    refused!(
        deserialize_any(),
        deserialize_ignored_any(),
        deserialize_identifier(),
        deserialize_char(),
        deserialize_bytes(),
        deserialize_byte_buf(),
        deserialize_map(),
        deserialize_i8(),
        deserialize_i16(),
        deserialize_i32(),
        deserialize_f32(),
        deserialize_unit_struct(&'static str),
        deserialize_tuple_struct(&'static str, usize)
    );
}

struct Variant<'r, 'a, 'f> {
    run: &'r mut Run<'a>,
    index: usize,
    fields: &'f mut Fields,
}

impl<'de, 'r, 'a, 'f> EnumAccess<'de> for Variant<'r, 'a, 'f> {
    type Error = Error;
    type Variant = Self;
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let index: U32Deserializer<Error> = (self.index as u32).into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        let value = seed.deserialize(Sampler(self.run))?;
        *self.fields = Fields::Values(vec![std::mem::replace(&mut self.run.shape, Shape::Unknown)]);
        Ok(value)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        let (value, shapes) = sequence(self.run, length, visitor)?;
        *self.fields = Fields::Values(shapes);
        Ok(value)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (value, shapes) = sequence(self.run, fields.len(), visitor)?;
        *self.fields = named(fields, shapes);
        Ok(value)
    }
}
