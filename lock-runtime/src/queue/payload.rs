//! A stored call as text: JSON that an operator, or another version of the program, can read.
//!
//! ```json
//! {"version": 1, "function": "shop::ship", "arguments": {"id": 42}, "trace": {"traceparent": "00-…"}}
//! ```

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::parameter::Stored;

const VERSION: u64 = 1;

/// What is stored of a call.
pub(super) struct Payload {
    /// The path of the function.
    pub(super) function: String,
    pub(super) arguments: Stored,
    /// What a tracing system wants to find again when the call is run.
    pub(super) trace: BTreeMap<String, String>,
}

impl Payload {
    pub(super) fn encode(&self) -> String {
        let mut payload = json!({
            "version": VERSION,
            "function": self.function,
            "arguments": self.arguments.0,
        });
        if let (false, Value::Object(payload)) = (self.trace.is_empty(), &mut payload) {
            payload.insert("trace".to_owned(), json!(self.trace));
        }
        payload.to_string()
    }

    /// # Errors
    ///
    /// What is wrong with the text.
    pub(super) fn decode(text: &str) -> Result<Self, String> {
        let payload: Value =
            serde_json::from_str(text).map_err(|error| format!("the stored call is no JSON: {error}"))?;
        match payload.get("version").and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(other) => {
                return Err(format!(
                    "the call was stored in version {other} of the format, and this program reads version {VERSION}; run a newer worker"
                ));
            }
            None => return Err("the stored call has no `version`".to_owned()),
        }
        let Some(function) = payload.get("function").and_then(Value::as_str) else {
            return Err("the stored call names no `function`".to_owned());
        };
        let arguments = match payload.get("arguments") {
            Some(Value::Object(arguments)) => arguments.clone(),
            None => Map::new(),
            Some(_) => return Err("the `arguments` of the stored call have no names".to_owned()),
        };
        let trace = payload.get("trace").and_then(Value::as_object).into_iter().flatten();
        Ok(Self {
            function: function.to_owned(),
            arguments: Stored(arguments),
            trace: trace
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_survives_its_text() {
        let payload = Payload {
            function: "shop::ship".to_owned(),
            arguments: Stored(Map::from_iter([("id".to_owned(), json!(42))])),
            trace: BTreeMap::from([("traceparent".to_owned(), "00-1".to_owned())]),
        };
        let read = Payload::decode(&payload.encode()).ok().unwrap();
        assert_eq!(read.function, "shop::ship");
        assert_eq!(read.arguments.0["id"], 42);
        assert_eq!(read.trace["traceparent"], "00-1");
    }

    #[test]
    fn the_text_is_what_the_documentation_says() {
        let payload = Payload {
            function: "shop::ship".to_owned(),
            arguments: Stored::default(),
            trace: BTreeMap::new(),
        };
        let text: Value = serde_json::from_str(&payload.encode()).unwrap();
        assert_eq!(text, json!({"version": 1, "function": "shop::ship", "arguments": {}}));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let reason = |text: &str| Payload::decode(text).err().unwrap();
        assert!(reason("{").contains("no JSON"));
        assert!(reason(r#"{"function": "f"}"#).contains("no `version`"));
        assert!(reason(r#"{"version": 2, "function": "f"}"#).contains("version 2"));
        assert!(reason(r#"{"version": 1}"#).contains("no `function`"));
        assert!(reason(r#"{"version": 1, "function": "f", "arguments": [1]}"#).contains("no names"));
    }
}
