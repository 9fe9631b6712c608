//! stub
#![allow(missing_docs)]
use serde::Deserialize;
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Manifest {
    pub name: String,
    pub version: String,
    #[serde(default)]
    pub routes: Vec<Route>,
    #[serde(default)]
    pub activities: Option<Vec<String>>,
}
#[derive(Debug, Clone, Deserialize)]
pub struct Route {
    pub name: String,
    #[serde(default)]
    pub score: f64,
    #[serde(default)]
    pub order: i64,
    pub pattern: String,
}
impl Route {
    pub fn matches(&self, text: &str, _: &str) -> bool {
        self.pattern.split('|').any(|p| p == text)
    }
}
impl Manifest {
    pub fn parse(t: &str) -> Result<Self, Vec<String>> {
        serde_json::from_str(t).map_err(|e| vec![e.to_string()])
    }
    pub fn check_settings(&self, _: &std::collections::BTreeMap<String, serde_json::Value>) -> Vec<String> {
        vec![]
    }
    pub fn handles(&self, kind: &str) -> bool {
        self.activities.as_ref().is_none_or(|a| a.iter().any(|x| x == "*" || x == kind))
    }
}
