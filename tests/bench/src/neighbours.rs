//! Neighbours: the effect of spinning guests, sleeping guests and a compile bomb on a quiet bot.

use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;

use crate::load::{Outcome, Plan};
use crate::report::Report;
use crate::server::{Lab, Server};
use crate::stats::Spread;
use crate::swap::{milliseconds, ratio};

const ROUNDS: usize = 5;
const CONVERSATIONS: usize = 20;
const PHASE_MS: u64 = 2000;
/// Two ticks of the epoch clock.
const TICKS_MS: f64 = 20.0;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Noise {
    Spin,
    Sleep,
    Bomb,
}

pub(crate) async fn measure(lab: &Lab, report: &mut Report) -> anyhow::Result<()> {
    // Calls of the noisy guests end soon after their phase, so that the next phase starts quiet.
    let limits = "limits.wall-ms = 1500";
    let bots =
        lab.bot("quiet", "echo", "")? + &lab.bot("noisy", "hostile", limits)? + &lab.bot("target", "echo", "")?;
    let mut server = lab.host(&lab.config("runtime.compile-ms = 2500", &bots)?, None).await?;
    server.ready().await?;
    let saturation = lab.load(&lab.plan(&server, "quiet", 32), None).await?.checked()?.per_second;
    let rate = saturation / 5.0;
    report.note(format!("neighbours: the quiet bot hears {rate:.0} messages/s, a fifth of {saturation:.0}"));
    let bomb = bomb(&lab.component("echo")?);
    let noises = [
        (Noise::Spin, "p99 of a quiet bot beside 8 spinning guests"),
        (Noise::Sleep, "p99 of a quiet bot beside 64 sleeping guests"),
        (Noise::Bomb, "p99 of a quiet bot beside a compile bomb"),
    ];
    let mut excess = vec![Vec::new(); noises.len()];
    let mut ratios = vec![Vec::new(); noises.len()];
    let mut quiets = Vec::new();
    for _ in 0..ROUNDS {
        for (index, (noise, _)) in noises.iter().enumerate() {
            let quiet = quiet(lab, &server, rate).await?.checked()?;
            let noisy = beside(lab, &mut server, rate, *noise, &bomb).await?.checked()?;
            let (quiet_ms, noisy_ms) = (p99_ms(&quiet), p99_ms(&noisy));
            // The part of the target that was used up.
            excess[index].push(noisy_ms - 2.0 * quiet_ms);
            ratios[index].push(ratio(noisy.p99_us, quiet.p99_us));
            quiets.push(quiet_ms);
        }
    }
    for (index, (_, what)) in noises.iter().enumerate() {
        let what = format!("{what}, less 2 × its p99 in silence");
        report.at_most(&what, " ms", Spread::of(excess[index].iter().copied()), TICKS_MS);
        report.note(format!("{:?}: p99 {} × that in silence", noises[index].0, Spread::of(ratios[index].clone())));
    }
    report.note(format!("p99 of the quiet bot in silence: {} ms", Spread::of(quiets)));
    Ok(())
}

fn p99_ms(outcome: &Outcome) -> f64 {
    milliseconds(Duration::from_micros(outcome.p99_us))
}

async fn quiet(lab: &Lab, server: &Server, rate: f64) -> anyhow::Result<Outcome> {
    let plan = Plan { rate: Some(rate), measure_ms: PHASE_MS, ..lab.plan(server, "quiet", CONVERSATIONS) };
    lab.load(&plan, None).await
}

/// Runs the quiet bot's load while the noise lasts from before it to after it.
async fn beside(lab: &Lab, server: &mut Server, rate: f64, noise: Noise, bomb: &Bytes) -> anyhow::Result<Outcome> {
    let (users, text) = match noise {
        Noise::Spin => (8, "spin"),
        Noise::Sleep => (64, "sleep"),
        Noise::Bomb => {
            let plan = Plan { rate: Some(rate), measure_ms: PHASE_MS, ..lab.plan(server, "quiet", CONVERSATIONS) };
            let (outcome, deployed) = tokio::join!(lab.load(&plan, None), server.deploy("target", bomb.clone()));
            let (status, answer) = deployed?;
            // It was not compiled in time, so it kept the compiler busy for longer than the phase.
            ensure!(answer.to_string().contains("compile-ms"), "the bomb was answered {status}: {answer}");
            return outcome;
        }
    };
    let plan = Plan {
        warm_up_ms: 0,
        measure_ms: PHASE_MS + 700,
        text: text.to_owned(),
        reply: String::new(),
        ..lab.plan(server, "noisy", users)
    };
    let (outcome, bad) = tokio::join!(quiet(lab, server, rate), lab.load(&plan, None));
    let bad = bad?;
    // Each message of the noise ends with an error reply.
    ensure!(bad.answered >= users as u64 && bad.failed == 0, "the noise was none: {bad:?}");
    outcome
}

/// Returns a component with an additional core module that is not instantiated and takes long to compile.
fn bomb(component: &[u8]) -> Bytes {
    // 56 MB of code; the host accepts 64 MiB.
    const FUNCTIONS: u32 = 140;
    const STEPS: u32 = 40_000;
    const LOCALS: u8 = 100;
    // One group of locals of type i64. Each step makes one of them depend on two others.
    let mut body = vec![1, LOCALS, 0x7e];
    for step in 0..STEPS {
        let local = |number: u32| u8::try_from(number % u32::from(LOCALS)).unwrap_or_default();
        let (a, b, c) = (local(step), local(step * 7 + 3), local(step * 13 + 5));
        // local.get a, local.get b, i64.mul, local.get c, i64.xor, local.set a
        body.extend([0x20, a, 0x20, b, 0x7e, 0x20, c, 0x85, 0x21, a]);
    }
    body.push(0x0b);
    let mut code = leb(FUNCTIONS);
    for _ in 0..FUNCTIONS {
        code.extend(leb(length(&body)));
        code.extend(&body);
    }
    let mut functions = leb(FUNCTIONS);
    functions.extend(std::iter::repeat_n(0, FUNCTIONS as usize));
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    section(&mut module, 1, &[1, 0x60, 0, 0]);
    section(&mut module, 3, &functions);
    section(&mut module, 10, &code);
    let mut bomb = component.to_vec();
    section(&mut bomb, 1, &module);
    bomb.into()
}

fn section(to: &mut Vec<u8>, id: u8, content: &[u8]) {
    to.push(id);
    to.extend(leb(length(content)));
    to.extend(content);
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// Encodes an unsigned number in LEB128.
fn leb(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_leb128() {
        assert_eq!(leb(0), [0]);
        assert_eq!(leb(127), [127]);
        assert_eq!(leb(624_485), [0xe5, 0x8e, 0x26]);
    }
}
