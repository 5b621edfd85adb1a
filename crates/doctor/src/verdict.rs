//! Derives a verdict from what is known and what was tested.

use super::meeting::Introduction;
use super::trial::Check;
use h5part_base::error::Remedy;
use h5part_base::lock::{FileSystem, Reach, Shared, Sharing};
use serde::Serialize;

/// Who may write there at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Everyone who can reach it.
    Safe,
    /// No problem was found, but nothing is known about other hosts.
    Unknown,
    /// Only the processes of one host.
    OneHost,
    /// Nobody.
    Unsafe,
}

/// The verdict, its reason, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The verdict.
    pub verdict: Level,
    /// Its reason.
    pub why: String,
    /// What to do. `None`: nothing needs to be done. It is not serialized: a program says it in its own commands.
    #[serde(skip)]
    pub remedy: Option<Remedy>,
}

impl Verdict {
    /// Whether all calls that write refuse, or should refuse.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self.verdict, Level::OneHost | Level::Unsafe)
    }

    fn new(verdict: Level, why: impl Into<String>, remedy: Option<Remedy>) -> Self {
        Self { verdict, why: why.into(), remedy }
    }
}

/// The tests with another host.
#[derive(Clone, Debug, Serialize)]
pub struct Hosts {
    /// Name of this host.
    pub host: String,
    /// Name of the other one.
    pub peer: String,
    /// Whether both are the same host. The tests then show nothing about different hosts.
    pub same_host: bool,
    /// How the file system is mounted on the other host.
    pub peer_file_system: String,
    /// Why writing is refused there.
    pub peer_refusal: Option<String>,
    /// What was tested.
    pub checks: Vec<Check>,
}

impl Hosts {
    pub(super) fn new(own: &Introduction, peer: Introduction, checks: Vec<Check>) -> Self {
        Self {
            host: own.process.host.clone(),
            // Containers have names of their own, but share their host's boot id.
            same_host: own.process.boot_id == peer.process.boot_id,
            peer: peer.process.host,
            peer_file_system: peer.file_system,
            peer_refusal: peer.refusal,
            checks,
        }
    }

    fn pair(&self) -> String {
        format!("{} and {}", self.host, self.peer)
    }
}

/// The first check that failed.
fn failure(checks: &[Check]) -> Option<String> {
    let failed = checks.iter().find(|check| !check.passed)?;
    Some(format!("{}: {}", failed.what, failed.seen.as_deref().unwrap_or("it does not hold")))
}

/// Decides by the file system, the number of hard links of the file, and the tests on this host and with another one.
pub(super) fn judge(
    (system, shared): (&FileSystem, Shared),
    links: u64,
    here: &[&[Check]],
    hosts: Option<&Hosts>,
) -> Verdict {
    let sharing = match shared {
        Shared::Local => system.sharing(),
        Shared::Nfs => shared.refusal(system).map_or(Sharing::Safe(Reach::AllHosts), Sharing::OneHost),
    };
    // If both turn out to be the same host, their tests count as tests on this host.
    let alone = hosts.filter(|hosts| hosts.same_host).map(|hosts| hosts.checks.as_slice());
    if let Some(seen) = here.iter().copied().chain(alone).find_map(failure) {
        return Verdict::new(
            Level::Unsafe,
            format!("{system}: locks do not hold on this host: {seen}"),
            Some(Remedy::OtherFileSystem),
        );
    }
    match sharing {
        Sharing::Unsafe(why) => {
            return Verdict::new(Level::Unsafe, format!("{system}: {}", why.what), Some(why.remedy));
        }
        Sharing::OneHost(why) => {
            return Verdict::new(Level::OneHost, format!("{system}: {}", why.what), Some(why.remedy));
        }
        Sharing::Safe(_) | Sharing::Unknown(_) => {}
    }
    let apart = hosts.filter(|hosts| !hosts.same_host);
    if let Some((hosts, seen)) = apart.and_then(|hosts| Some((hosts, failure(&hosts.checks)?))) {
        let why = format!("{system}: locks do not hold between {}: {seen}", hosts.pair());
        return Verdict::new(Level::OneHost, why, Some(Remedy::OwnFilesOrOneHost));
    }
    if let Some((hosts, refusal)) = apart.and_then(|hosts| Some((hosts, hosts.peer_refusal.as_ref()?))) {
        let why = format!("on {}: {refusal}", hosts.peer);
        return Verdict::new(Level::OneHost, why, Some(Remedy::OwnFilesOrOneHost));
    }
    if links > 1 {
        let why = format!("the file has {links} hard links: its locks would not be seen under its other names");
        return Verdict::new(Level::Unsafe, why, Some(Remedy::KeepOneName));
    }
    match (sharing, apart) {
        (_, Some(hosts)) => {
            Verdict::new(Level::Safe, format!("{system}: locks hold between {}, as tested", hosts.pair()), None)
        }
        (Sharing::Unknown(what), None) => {
            let why = format!("{system}: locks hold on this host; {what}");
            Verdict::new(Level::Unknown, why, Some(Remedy::TestBetweenHosts))
        }
        (Sharing::Safe(Reach::AllHosts), None) => {
            Verdict::new(Level::Safe, format!("{system}: it keeps locks for all hosts that mount it this way"), None)
        }
        (_, None) => {
            Verdict::new(Level::Safe, format!("{system}: it belongs to this host alone, and its locks hold"), None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use h5part_base::lock::{Mount, ProcessId};

    fn system(kind: &str, options: &str) -> FileSystem {
        let mount = Mount::parse(&format!("27 1 0:5 / /data rw - {kind} source {options}"));
        FileSystem { kind: kind.to_owned(), mount }
    }

    fn checks(passed: bool) -> Vec<Check> {
        let seen = (!passed).then(|| "both got it".to_owned());
        vec![Check { what: "first".into(), passed: true, seen: None }, Check { what: "second".into(), passed, seen }]
    }

    fn hosts(passed: bool, same: bool, refusal: Option<&str>) -> Hosts {
        let process = ProcessId::this();
        let introduction = |host: &str, boot: &str| Introduction {
            process: ProcessId { host: host.into(), boot_id: boot.into(), ..process.clone() },
            version: "1".into(),
            file_system: "lustre at /data".into(),
            refusal: refusal.map(str::to_owned),
        };
        Hosts::new(&introduction("n1", "a"), introduction("n2", if same { "a" } else { "b" }), checks(passed))
    }

    fn level(system: &FileSystem, here: bool, with: Option<&Hosts>) -> Level {
        let verdict = judge((system, Shared::Local), 1, &[&checks(here)], with);
        assert_eq!(verdict.is_refused(), matches!(verdict.verdict, Level::OneHost | Level::Unsafe));
        verdict.verdict
    }

    #[test]
    fn the_worst_of_what_is_known_and_what_was_seen() {
        let (ext4, new) = (system("ext4", "rw"), system("brandnewfs", "rw"));
        let (flock, local) = (system("lustre", "rw,flock"), system("lustre", "rw,localflock"));
        assert_eq!(level(&ext4, true, None), Level::Safe);
        assert_eq!(level(&ext4, false, None), Level::Unsafe);
        assert_eq!(level(&flock, true, None), Level::Safe);
        assert_eq!(level(&local, true, None), Level::OneHost);
        assert_eq!(level(&local, false, None), Level::Unsafe);
        assert_eq!(level(&new, true, None), Level::Unknown);
        assert_eq!(level(&new, true, Some(&hosts(true, false, None))), Level::Safe);
        assert_eq!(level(&new, true, Some(&hosts(true, true, None))), Level::Unknown, "one host proves nothing");
        assert_eq!(level(&new, true, Some(&hosts(false, false, None))), Level::OneHost);
        assert_eq!(level(&new, true, Some(&hosts(false, true, None))), Level::Unsafe);
        assert_eq!(level(&flock, true, Some(&hosts(false, false, None))), Level::OneHost);
        // A passed test does not overrule what is known.
        assert_eq!(level(&local, true, Some(&hosts(true, false, None))), Level::OneHost);
        assert_eq!(level(&flock, true, Some(&hosts(true, false, Some("localflock")))), Level::OneHost);
    }

    #[test]
    fn reasons_name_what_was_seen_and_where() {
        let told =
            judge((&system("brandnewfs", "rw"), Shared::Local), 1, &[&checks(true)], Some(&hosts(false, false, None)))
                .why;
        assert_eq!(told, "brandnewfs at /data: locks do not hold between n1 and n2: second: both got it");
        let linked = judge((&system("ext4", "rw"), Shared::Local), 2, &[&checks(true)], None);
        assert!(linked.is_refused() && linked.why.contains("2 hard links"), "{linked:?}");
    }
}
