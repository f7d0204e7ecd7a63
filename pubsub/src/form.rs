//! Data forms as machines read them (XEP-0004): names and values, without titles and instructions.

use convoke_xmpp::namespace::DATA_FORMS;
use convoke_xmpp::{Element, Jid};

/// The fields of a form: names with their values, in order.
pub(crate) type Fields = Vec<(String, Vec<String>)>;

/// The name of the field that says what a form is for (XEP-0068).
pub(crate) const FORM_TYPE: &str = "FORM_TYPE";

/// A form that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    /// The attribute `type`: `form`, `submit`, `cancel` or `result`.
    pub(crate) kind: String,
    /// The `FORM_TYPE`, if there is one.
    pub(crate) form_type: Option<String>,
    /// The other fields.
    pub(crate) fields: Fields,
}

impl Form {
    /// The form within an element.
    pub(crate) fn within(parent: &Element) -> Option<Self> {
        parent.find("x", DATA_FORMS).map(Self::read)
    }

    /// Reads an element `x`; a field without a name is left out.
    pub(crate) fn read(x: &Element) -> Self {
        let fields = x.children().filter(|child| child.is("field", DATA_FORMS));
        let mut fields: Fields = fields.filter_map(read_field).collect();
        let at = fields.iter().position(|(name, _)| name == FORM_TYPE);
        let form_type = at.and_then(|at| fields.remove(at).1.into_iter().next());
        Self { kind: x.attribute("type").unwrap_or_default().to_owned(), form_type, fields }
    }

    /// Whether it says to be for this, or does not say.
    pub(crate) fn is_for(&self, form_type: &str) -> bool {
        self.form_type.as_deref().is_none_or(|own| own == form_type)
    }

    /// The first value of a field.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let (_, values) = self.fields.iter().find(|(field, _)| field == name)?;
        values.first().map(String::as_str)
    }
}

fn read_field(field: &Element) -> Option<(String, Vec<String>)> {
    let values = field.children().filter(|child| child.is("value", DATA_FORMS)).map(Element::content);
    Some((field.attribute("var")?.to_owned(), values.collect()))
}

/// An empty form of that type and purpose.
pub(crate) fn form(kind: &str, form_type: &str) -> Element {
    element("x").attr("type", kind).child(values(field(FORM_TYPE).attr("type", "hidden"), [form_type]))
}

/// A field without values.
pub(crate) fn field(name: &str) -> Element {
    element("field").attr("var", name)
}

/// A field with these values.
pub(crate) fn values<'a>(field: Element, values: impl IntoIterator<Item = &'a str>) -> Element {
    field.with_children(values.into_iter().map(value))
}

/// A field that offers these values.
pub(crate) fn options<'a>(field: Element, values: impl IntoIterator<Item = &'a str>) -> Element {
    field.with_children(values.into_iter().map(|option| element("option").child(value(option))))
}

/// A field that holds addresses.
pub(crate) fn addresses<'a>(field: Element, addresses: impl IntoIterator<Item = &'a Jid>) -> Element {
    values(field, addresses.into_iter().map(Jid::as_str))
}

fn value(text: &str) -> Element {
    element("value").text(text)
}

fn element(name: &'static str) -> Element {
    Element::new(name, DATA_FORMS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_without_its_decoration() {
        let x = Element::parse(
            "<x xmlns='jabber:x:data' type='submit'><title>T</title><instructions>I</instructions>\
             <field var='FORM_TYPE' type='hidden'><value>urn:f</value></field>\
             <field type='fixed'><value>text</value></field>\
             <field var='a'><value>1</value><value>2</value></field><field var='b'/></x>",
        );
        let form = Form::read(&x.unwrap());
        assert_eq!((&*form.kind, form.form_type.as_deref()), ("submit", Some("urn:f")));
        assert_eq!(form.fields, [("a".to_owned(), vec!["1".to_owned(), "2".to_owned()]), ("b".to_owned(), vec![])]);
        assert!(form.is_for("urn:f") && !form.is_for("urn:g"));
        assert_eq!((form.value("a"), form.value("b"), form.value("c")), (Some("1"), None, None));
    }
}
