//! Compares a JSON value with a schema of the OpenAPI document.

use serde_json::Value;

/// Checks a value against a schema, with the keywords that the document uses; the error says where they differ.
pub(super) fn check(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(path) = schema["$ref"].as_str() {
        let schema = document.pointer(path.trim_start_matches('#')).ok_or(format!("{path} leads nowhere"))?;
        return check(document, schema, value, at);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = choices.iter().any(|choice| check(document, choice, value, at).is_ok());
        return if fits { Ok(()) } else { Err(format!("{at} is {value}, none of {choices:?}")) };
    }
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_i64() || n.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let types: Vec<_> = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(some) => some.iter().filter_map(Value::as_str).collect(),
        _ => vec![is],
    };
    let fits = types.contains(&is) || types.contains(&"number") && is == "integer";
    if !fits {
        return Err(format!("{at} is {value}, and not {types:?}"));
    }
    if schema.get("const").is_some_and(|only| only != value)
        || schema["enum"].as_array().is_some_and(|choices| !choices.contains(value))
    {
        return Err(format!("{at} is {value}, and should be of {schema}"));
    }
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(required).is_none() {
            return Err(format!("{at} lacks {required}: {value}"));
        }
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        let known = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
        match known {
            Some(Value::Bool(false)) => return Err(format!("{at} has a {name} that the document lacks")),
            Some(schema @ Value::Object(_)) => check(document, schema, field, &format!("{at}.{name}"))?,
            // The document must list every field of an answer.
            _ if schema.get("properties").is_some() => {
                return Err(format!("{at} has a {name} that the document lacks"));
            }
            _ => {}
        }
    }
    for element in value.as_array().into_iter().flatten().filter(|_| schema.get("items").is_some()) {
        check(document, &schema["items"], element, &format!("{at}[]"))?;
    }
    Ok(())
}
