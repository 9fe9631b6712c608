//! Signatures as text, every named type spelled out: two functions match if and only if their texts do.
//!
//! A component's types may share parts and nest, so that their text would be endless; it is cut at a bound that no
//! function of the contract comes near.

use std::cell::Cell;
use std::collections::BTreeMap;

use wit_parser::{Function, Handle, InterfaceId, Resolve, Type, TypeDefKind, TypeId};

use super::Interface;

/// The types of one signature, and the length of its text in characters.
const TYPES_MAX: usize = 400;
const TEXT_CHARS_MAX: usize = 2_000;

/// Lists the functions and the resources of an interface.
pub(super) fn interface(resolve: &Resolve, name: String, id: InterfaceId) -> Interface {
    let Some(interface) = resolve.interfaces.get(id) else { return Interface { name, ..Interface::default() } };
    let functions = interface.functions.iter();
    let functions: BTreeMap<_, _> =
        functions.map(|(name, function)| (name.clone(), signature(resolve, function))).collect();
    let is_resource = |id: &TypeId| resolve.types.get(*id).is_some_and(|ty| matches!(ty.kind, TypeDefKind::Resource));
    let resources = interface.types.iter().filter(|(_, id)| is_resource(id)).map(|(name, _)| name.clone()).collect();
    Interface { name, functions, resources }
}

/// Renders a signature.
pub(super) fn signature(resolve: &Resolve, function: &Function) -> String {
    let text = Text { resolve, left: Cell::new(TYPES_MAX) };
    let parameters: Vec<String> =
        function.params.iter().map(|param| format!("{}: {}", param.name, text.of(&param.ty))).collect();
    let result = function.result.as_ref().map(|ty| format!(" -> {}", text.of(ty))).unwrap_or_default();
    let kind = if function.kind.is_async() { "async func" } else { "func" };
    let whole = format!("{kind}({}){result}", parameters.join(", "));
    match whole.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", whole.get(..end).unwrap_or_default()),
        None => whole,
    }
}

struct Text<'a> {
    resolve: &'a Resolve,
    /// Types that may still be rendered.
    left: Cell<usize>,
}

impl Text<'_> {
    fn of(&self, ty: &Type) -> String {
        let Some(left) = self.left.get().checked_sub(1) else { return "…".into() };
        self.left.set(left);
        match ty {
            Type::Id(id) => self.named(*id),
            plain => format!("{plain:?}").to_lowercase(),
        }
    }

    fn all<'t>(&self, types: impl Iterator<Item = (&'t str, Option<&'t Type>)>) -> String {
        // Stops where the bound is reached: a record may have thousands of fields.
        let parts = types.take_while(|_| self.left.get() > 0).map(|(name, ty)| match (name, ty) {
            ("", ty) => self.optional(ty),
            (name, Some(ty)) => format!("{name}: {}", self.of(ty)),
            (name, None) => {
                self.left.set(self.left.get().saturating_sub(1));
                name.to_owned()
            }
        });
        parts.collect::<Vec<_>>().join(", ")
    }

    fn optional(&self, ty: Option<&Type>) -> String {
        ty.map_or_else(|| "_".into(), |ty| self.of(ty))
    }

    fn named(&self, id: TypeId) -> String {
        let Some(named) = self.resolve.types.get(id) else { return "?".into() };
        let name = |id: &TypeId| self.resolve.types.get(*id).and_then(|ty| ty.name.as_deref()).unwrap_or("?");
        match &named.kind {
            TypeDefKind::Type(alias) => self.of(alias),
            TypeDefKind::Option(inner) => format!("option<{}>", self.of(inner)),
            TypeDefKind::List(inner) => format!("list<{}>", self.of(inner)),
            TypeDefKind::Result(result) => {
                format!("result<{}, {}>", self.optional(result.ok.as_ref()), self.optional(result.err.as_ref()))
            }
            TypeDefKind::Tuple(tuple) => {
                format!("tuple<{}>", self.all(tuple.types.iter().map(|ty| ("", Some(ty)))))
            }
            TypeDefKind::Record(record) => {
                let fields = record.fields.iter().map(|field| (field.name.as_str(), Some(&field.ty)));
                format!("record {{ {} }}", self.all(fields))
            }
            TypeDefKind::Variant(variant) => {
                let cases = variant.cases.iter().map(|case| (case.name.as_str(), case.ty.as_ref()));
                format!("variant {{ {} }}", self.all(cases))
            }
            TypeDefKind::Enum(cases) => {
                format!("enum {{ {} }}", self.all(cases.cases.iter().map(|case| (case.name.as_str(), None))))
            }
            TypeDefKind::Flags(flags) => {
                format!("flags {{ {} }}", self.all(flags.flags.iter().map(|flag| (flag.name.as_str(), None))))
            }
            TypeDefKind::Handle(Handle::Own(resource)) => format!("own<{}>", name(resource)),
            TypeDefKind::Handle(Handle::Borrow(resource)) => format!("borrow<{}>", name(resource)),
            TypeDefKind::Future(inner) => format!("future<{}>", self.optional(inner.as_ref())),
            TypeDefKind::Stream(inner) => format!("stream<{}>", self.optional(inner.as_ref())),
            // The contract has none of the others; their name is enough to tell them apart.
            other => format!("{} {}", other.as_str(), named.name.as_deref().unwrap_or_default()),
        }
    }
}
