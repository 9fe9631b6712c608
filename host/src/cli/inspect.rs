//! `turntable inspect`: shows what a component is, before a bot runs it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::admin::read_component;
use super::terminal::{Style, Terminal, printable};
use crate::config::{Allocator, Grants, Limits, OnFailure, OnHookFailure, PluginSpec, Runtime as Settings};
use crate::plugin::preflight::{Interface, Preflight};
use crate::plugin::{LoadError, Manifest, Runtime, compile};

/// Show the exports, imports and manifest of a component, and what it lacks on this host
///
/// Compiles the component as the host does, in a sandboxed child process, and reads its manifest. Settings given with
/// --set are checked against the manifest. Exits with 1 if the component is not fit to serve.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Component to inspect
    #[arg(value_name = "PLUGIN.wasm")]
    component: PathBuf,
    /// Give the plugin a setting, as in --set text=\'"hello"\'; a value that is not JSON counts as text
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, Value)>,
    /// Print one JSON object: `fit`, `digest`, `bytes`, `imports`, `exports`, `manifest`, `problems`
    #[arg(long)]
    json: bool,
}

/// Result of an inspection.
struct Findings {
    digest: Arc<str>,
    bytes: usize,
    preflight: Option<Preflight>,
    manifest: Option<Manifest>,
    problems: Vec<String>,
}

/// Runs the command.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let component = read_component(&args.component)?;
    let findings = inspect(component, args.settings.into_iter().collect()).await?;
    let terminal = Terminal::stdout();
    terminal.line(if args.json { as_json(&findings)? } else { as_text(&findings, terminal) })?;
    Ok(if findings.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn inspect(component: Vec<u8>, settings: BTreeMap<String, Value>) -> anyhow::Result<Findings> {
    let runtime = Runtime::uncached(&Settings { allocator: Allocator::OnDemand, ..Settings::default() })?;
    let component = Bytes::from(component);
    let mut findings = Findings {
        digest: compile::digest(&component).await?,
        bytes: component.len(),
        preflight: None,
        manifest: None,
        problems: Vec::new(),
    };
    match runtime.read(component.clone()).await {
        Ok(preflight) => {
            findings.problems = preflight.problems();
            findings.preflight = Some(preflight);
        }
        Err(error) => findings.problems = problems(error)?,
    }
    if findings.problems.is_empty() {
        match describe(&runtime, component, settings.clone()).await {
            Ok(manifest) => {
                // With settings, check whether the plugin would serve with them. Without, only show the manifest.
                if !settings.is_empty() {
                    let problems = manifest.check_settings(&settings).into_iter();
                    findings.problems = problems.map(|problem| problem.message).collect();
                }
                findings.manifest = Some(manifest);
            }
            Err(error) => findings.problems = problems(error)?,
        }
    }
    Ok(findings)
}

async fn describe(
    runtime: &Runtime,
    component: Bytes,
    settings: BTreeMap<String, Value>,
) -> Result<Manifest, LoadError> {
    let code = runtime.load(component).await?;
    let spec = PluginSpec {
        name: "inspected".into(),
        position: 0,
        component: PathBuf::new(),
        settings,
        on_failure: OnFailure::FailTurn,
        on_hook_failure: OnHookFailure::Closed,
        grants: Grants::default(),
        limits: Limits::default(),
    };
    let plugin = runtime.describe(&"inspect".into(), code, &spec, runtime.share()).await?;
    Ok(plugin.manifest)
}

/// Returns the problems of the component. A failure of this machine is an error of the command.
fn problems(error: LoadError) -> anyhow::Result<Vec<String>> {
    match error {
        LoadError::Host(error) => Err(error),
        error => Ok(error.problems()),
    }
}

fn setting(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))))
}

fn as_json(findings: &Findings) -> anyhow::Result<String> {
    let manifest = findings.manifest.as_ref().map(|manifest| {
        let routes: Vec<&str> = manifest.routes.iter().map(|route| route.name.as_str()).collect();
        json!({
            "name": manifest.name, "version": manifest.version, "roles": manifest.roles,
            "activities": manifest.activities, "routes": routes, "wants": manifest.wants, "settings": manifest.settings,
        })
    });
    let side = |interfaces: &[Interface]| serde_json::to_value(interfaces);
    let preflight = findings.preflight.as_ref();
    Ok(serde_json::to_string_pretty(&json!({
        "fit": findings.problems.is_empty(),
        "digest": findings.digest,
        "bytes": findings.bytes,
        "imports": preflight.map(|preflight| side(&preflight.imports)).transpose()?,
        "exports": preflight.map(|preflight| side(&preflight.exports)).transpose()?,
        "manifest": manifest,
        "problems": findings.problems,
    }))?)
}

fn as_text(findings: &Findings, terminal: Terminal) -> String {
    let mut lines = vec![format!("{}  {} bytes", findings.digest, findings.bytes)];
    if let Some(manifest) = &findings.manifest {
        let title = format!("{} {}", printable(&manifest.name), printable(&manifest.version));
        lines.push(format!("describes  {}", terminal.paint(Style::Strong, title)));
        lines.push(format!("  roles       {}", printable(&manifest.roles.join(", "))));
        let activities = if manifest.activities.is_empty() { "none" } else { &manifest.activities.join(", ") };
        lines.push(format!("  activities  {}", printable(activities)));
        for route in &manifest.routes {
            lines.push(format!("  route       {} (score {})", route.name, route.score));
        }
        for dialog in &manifest.dialogs {
            lines.push(format!("  dialog      {} (state version {})", printable(&dialog.id), dialog.state_version));
        }
        if manifest.roles.iter().any(|role| role == "middleware") {
            lines.push(format!("  intercepts  {}", printable(&manifest.intercepts.join(", "))));
        }
        if !manifest.wants.is_empty() {
            let wants: Vec<&str> = manifest.wants.keys().map(String::as_str).collect();
            lines.push(format!("  wants       {}", printable(&wants.join(", "))));
        }
        for grant in &manifest.wanted.http {
            lines.push(format!("  requests    {}", printable(&grant.rule.to_string())));
        }
        let settings = settings_of(manifest);
        if !settings.is_empty() {
            lines.push(format!("  settings    {}", printable(&settings.join(", "))));
        }
    }
    if let Some(preflight) = &findings.preflight {
        for (side, interfaces) in [("exports", &preflight.exports), ("imports", &preflight.imports)] {
            for interface in interfaces {
                let functions: Vec<&str> = interface.functions.keys().map(String::as_str).collect();
                let functions = terminal.paint(Style::Dim, printable(&functions.join(" ")));
                lines.push(format!("{side}  {}  {functions}", printable(&interface.name)).trim_end().to_owned());
            }
        }
    }
    match findings.problems.as_slice() {
        [] => lines.push(terminal.paint(Style::Good, "fit to serve on this host")),
        problems => {
            lines.push(terminal.paint(Style::Bad, "not fit to serve on this host"));
            lines.extend(problems.iter().map(|problem| format!("  - {}", printable(problem))));
        }
    }
    lines.join("\n")
}

/// Returns the names of the settings that a plugin declares. Required ones are marked.
fn settings_of(manifest: &Manifest) -> Vec<String> {
    let Some(schema) = &manifest.settings else { return Vec::new() };
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    let known = schema["properties"].as_object().into_iter().flat_map(serde_json::Map::keys);
    known
        .map(|name| match required.iter().any(|required| required.as_str() == Some(name)) {
            true => format!("{name} (required)"),
            false => name.clone(),
        })
        .collect()
}
