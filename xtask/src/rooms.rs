//! The rooms of the operator's controller and the shape of the services: which of their modules may import which, and that every
//! task of a service is supervised. Reads text; must not compile anything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::environment::Paths;

/// A folder of sources and the rooms below it.
struct Layout {
    sources: &'static str,
    /// A room, and the rooms that it may import. A file beside the rooms may import the other files beside the rooms.
    rooms: &'static [(&'static str, &'static [&'static str])],
    /// Whether files beside the rooms, and tasks that are not supervised, are violations.
    closed: bool,
}

const fn service(sources: &'static str) -> Layout {
    const RULES: &[&str] = &["domain", "ports"];
    const ENTRANCE: &[&str] = &["domain", "ports", "service"];
    Layout {
        sources,
        rooms: &[
            ("config", &[]),
            ("domain", &[]),
            ("ports", &["domain"]),
            ("service", RULES),
            ("postgres", RULES),
            ("cache", RULES),
            ("clients", RULES),
            ("crypto", RULES),
            ("consumer", ENTRANCE),
            ("worker", ENTRANCE),
            ("http", ENTRANCE),
        ],
        closed: true,
    }
}

const LAYOUTS: &[Layout] = &[
    Layout {
        sources: "operator/controller/src",
        rooms: &[
            ("decide", &[]),
            ("cluster", &["decide"]),
            ("external", &["decide"]),
            ("run", &["decide", "cluster", "external"]),
        ],
        closed: false,
    },
    Layout {
        sources: "services/gateway/src",
        rooms: &[
            ("config", &[]),
            ("clients", &[]),
            ("graphql", &["config", "clients", "limits"]),
            ("limits", &[]),
            ("push", &[]),
            ("http", &["config", "clients", "graphql", "limits", "push"]),
        ],
        closed: true,
    },
    service("services/user/src"),
    service("services/catalog/src"),
    service("services/cart/src"),
    service("services/order/src"),
    service("services/payment/src"),
    service("services/notification/src"),
    service("services/search/src"),
    service("services/recommendation/src"),
];
/// Calls that start a task which nothing starts again after it failed.
const UNSUPERVISED: [&str; 2] = [SPAWN, TRACK];
const SPAWN: &str = ".spawn(";
const TRACK: &str = ".track(";
/// Files that track tasks of one connection or one request, which nothing could start again: the socket or the client is gone.
const OF_ONE_CLIENT: [&str; 3] = [
    "services/gateway/src/graphql/loaders.rs",
    "services/gateway/src/http/graphql.rs",
    "services/gateway/src/http/streams.rs",
];
/// Files that only declare and start the modules.
const ROOTS: [&str; 2] = ["lib", "main"];

/// Violations in the sources of the controller and of the services.
pub fn faults(paths: &Paths) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for layout in LAYOUTS {
        let folder = paths.repo.join(layout.sources);
        let mut files = Vec::new();
        for file in rust_files(&folder)? {
            let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            files.push((file.strip_prefix(&folder)?.to_owned(), text));
        }
        faults.extend(layout.faults(&files));
    }
    Ok(faults)
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

impl Layout {
    /// Violations in files given by path below the source folder and by text: a task without supervision or a file beside the
    /// rooms where there must be none, an import of a room that the importing file must not know, and modules that import
    /// each other in a circle.
    fn faults(&self, files: &[(PathBuf, String)]) -> Vec<String> {
        let modules: BTreeSet<Vec<String>> = files.iter().map(|(path, _)| module_path(path)).collect();
        let mut faults = Vec::new();
        let mut graph = Graph::new();
        for (path, text) in files {
            let module = module_path(path);
            let file = format!("{}/{}", self.sources, path.display());
            if self.closed {
                faults.extend(unsupervised(&file, text));
            }
            if ROOTS.contains(&module.join("/").as_str()) {
                continue;
            }
            if self.closed && self.room(&module).is_none() {
                let rooms: Vec<&str> = self.rooms.iter().map(|(room, _)| *room).collect();
                faults.push(format!("{file}: move it into one of the modules {}", rooms.join(", ")));
            }
            for (line, target) in imports(&module, text) {
                let (from, to) = (self.unit(&module, &modules), self.unit(&target, &modules));
                let at = format!("{file}:{line}");
                if !self.may_import(&from, &to) {
                    faults.push(format!("{at}: `{}` must not import `{}`", from.join("::"), to.join("::")));
                }
                if from != to {
                    graph.entry(from).or_default().entry(to).or_insert(at);
                }
            }
        }
        faults.extend(circles(&graph));
        faults
    }

    /// The part of a path that the rules are about: a file beside the rooms, a room's own file, or a module directly in a
    /// room, which counts as one with its child modules.
    fn unit(&self, path: &[String], modules: &BTreeSet<Vec<String>>) -> Vec<String> {
        let deepest = if self.room(path).is_some() { 2 } else { 1 };
        let mut unit = path.get(..deepest).unwrap_or(path).to_vec();
        while unit.len() > 1 && !modules.contains(&unit) {
            unit.pop();
        }
        unit
    }

    fn room(&self, path: &[String]) -> Option<&'static (&'static str, &'static [&'static str])> {
        self.rooms.iter().find(|(name, _)| path.first().is_some_and(|first| first == name))
    }

    fn may_import(&self, from: &[String], to: &[String]) -> bool {
        match (self.room(from), self.room(to)) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some((from, allowed)), Some((to, _))) => from == to || allowed.contains(to),
        }
    }
}

/// Lines before the unit tests that start a task without supervision, except those of one client.
fn unsupervised(file: &str, text: &str) -> Vec<String> {
    let lines = text.lines().take_while(|line| !line.starts_with("mod tests"));
    let code = lines.map(|line| line.split("//").next().unwrap_or_default()).enumerate();
    let is_allowed = |call: &str| call == TRACK && OF_ONE_CLIENT.contains(&file);
    let found = code.filter(|(_, line)| UNSUPERVISED.iter().any(|call| line.contains(call) && !is_allowed(call)));
    found.map(|(number, _)| format!("{file}:{}: start the task with `Process::supervise`", number + 1)).collect()
}

fn module_path(path: &Path) -> Vec<String> {
    path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect()
}

/// Paths that begin with `crate` or `super` before the unit tests, as paths from the crate's root, with line numbers.
fn imports(module: &[String], text: &str) -> Vec<(usize, Vec<String>)> {
    let lines = text.lines().take_while(|line| !line.starts_with("mod tests"));
    let code: Vec<&str> = lines.map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    let mut rest = 0;
    while let Some(start) = next_path(&code, rest) {
        let line = code[..start].matches('\n').count() + 1;
        let mut paths = Vec::new();
        rest = start + read_paths(&code[start..], &[], &mut paths);
        found.extend(paths.into_iter().map(|path| (line, absolute(module, &path))));
    }
    found
}

/// Where the next path that begins with `crate` or `super` begins.
fn next_path(code: &str, from: usize) -> Option<usize> {
    let starts = ["crate::", "super::"].into_iter().flat_map(|word| code[from..].match_indices(word));
    let is_word =
        |at: &usize| !code[..*at].ends_with(|before: char| before.is_alphanumeric() || "_:$".contains(before));
    starts.map(|(at, _)| from + at).filter(is_word).min()
}

/// Reads one path, or a list of paths in braces, and returns how many bytes it takes.
fn read_paths(code: &str, prefix: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let (mut path, mut at) = (prefix.to_vec(), 0);
    loop {
        at += code[at..].len() - code[at..].trim_start().len();
        if code[at..].starts_with('{') {
            at += 1;
            while !code[at..].trim_start().starts_with('}') && at < code.len() {
                at += read_paths(&code[at..], &path, found).max(1);
                at += code[at..].find([',', '}']).unwrap_or(code.len() - at);
                at += usize::from(code[at..].starts_with(','));
            }
            return at + code[at..].find('}').map_or(code.len() - at, |end| end + 1);
        }
        let end = code[at..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(code.len() - at);
        path.push(code[at..at + end].to_owned());
        at += end;
        if !code[at..].starts_with("::") {
            found.push(path);
            return at;
        }
        at += 2;
    }
}

fn absolute(module: &[String], path: &[String]) -> Vec<String> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    if supers == 0 {
        return path[1..].to_vec();
    }
    let kept = module.len().saturating_sub(supers);
    module[..kept].iter().chain(&path[supers..]).cloned().collect()
}

/// From importing to imported module, with the first place of the import.
type Graph = BTreeMap<Vec<String>, BTreeMap<Vec<String>, String>>;

/// The shortest circle through each module, if no circle through one of its modules was found before.
fn circles(graph: &Graph) -> Vec<String> {
    let mut known = BTreeSet::new();
    let mut faults = Vec::new();
    for module in graph.keys() {
        let Some(circle) = circle(graph, module).filter(|circle| circle.iter().all(|part| !known.contains(part)))
        else {
            continue;
        };
        let names: Vec<String> = circle.iter().chain([module]).map(|part| part.join("::")).collect();
        let at = circle.get(1).map_or("", |second| graph[module][second].as_str());
        faults.push(format!("{at}: these modules import each other in a circle: {}", names.join(" -> ")));
        known.extend(circle);
    }
    faults
}

/// The modules of the shortest way from a module to itself, beginning with it.
fn circle(graph: &Graph, start: &Vec<String>) -> Option<Vec<Vec<String>>> {
    let mut ways = VecDeque::from([vec![start.clone()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in way.last().and_then(|last| graph.get(last)).into_iter().flat_map(BTreeMap::keys) {
            if next == start {
                return Some(way);
            }
            if seen.insert(next) {
                ways.push_back(way.iter().chain([next]).cloned().collect());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{LAYOUTS, Layout, OF_ONE_CLIENT, TRACK, service};

    fn faults_in(layout: &Layout, files: &[(&str, &str)]) -> Vec<String> {
        let owned: Vec<_> = files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect();
        layout.faults(&owned)
    }

    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        faults_in(&LAYOUTS[0], files)
    }

    #[test]
    fn de19_a_service_has_only_the_modules_of_the_shape_and_its_rules_know_no_store() {
        let shape = service("services/cart/src");
        let (store, rules) = (("postgres.rs", "//! Store.\n"), ("domain/line.rs", "//! Lines.\n"));
        let service = ("service.rs", "//! Use cases.\nuse crate::{domain, ports::Carts};\n");
        assert_eq!(
            faults_in(&shape, &[store, rules, service, ("ports.rs", ""), ("lib.rs", "use crate::http;")]),
            [""; 0]
        );
        let wrong = ("domain/line.rs", "//! Lines.\nuse crate::postgres::Row;\n");
        let expected = "services/cart/src/domain/line.rs:2: `domain::line` must not import `postgres`";
        assert_eq!(faults_in(&shape, &[store, wrong]), [expected]);
        let [beside] = <[_; 1]>::try_from(faults_in(&shape, &[("usecases.rs", "//! Use cases.\n")])).unwrap();
        assert!(beside.starts_with("services/cart/src/usecases.rs: move it into one of the modules config, domain"));
    }

    #[test]
    fn every_task_of_a_service_is_supervised() {
        let shape = service("services/payment/src");
        let code = "//! Wiring.\n// process.spawn(x)\nprocess.supervise(\"worker\", start);\n";
        let tests = "#[cfg(test)]\nmod tests {\n    process.spawn(\"callee\", serve);\n}\n";
        assert_eq!(faults_in(&shape, &[("lib.rs", format!("{code}{tests}").as_str())]), [""; 0]);
        let spawned = format!("{code}process.spawn(\"worker\", run());\n{tests}");
        let expected = "services/payment/src/lib.rs:4: start the task with `Process::supervise`";
        assert_eq!(faults_in(&shape, &[("lib.rs", spawned.as_str())]), [expected]);
        assert_eq!(faults_in(&shape, &[("worker.rs", "//! Work.\nprocess.track(run());\n")]).len(), 1);
    }

    #[test]
    fn a_task_of_one_connection_is_tracked_and_no_other_one_of_the_gateway() {
        let gateway = LAYOUTS.iter().find(|layout| layout.sources == "services/gateway/src").unwrap();
        let tracked = "//! Streams.\nprocess.track(serve(socket));\n";
        assert_eq!(faults_in(gateway, &[("http/streams.rs", tracked)]), [""; 0]);
        assert_eq!(faults_in(gateway, &[("push/hub.rs", tracked)]).len(), 1);
        let spawned = "//! Streams.\nprocess.spawn(\"stream\", serve(socket));\n";
        assert_eq!(faults_in(gateway, &[("http/streams.rs", spawned)]).len(), 1);
        // An exception that is not needed any more would hide a fault.
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        for file in OF_ONE_CLIENT {
            assert!(std::fs::read_to_string(folder.join(file)).unwrap().contains(TRACK), "{file}");
        }
    }

    #[test]
    fn a_room_must_not_import_a_room_above_it() {
        let context = ("run/context.rs", "//! The context.\n");
        let imports = "//! Reads.\nuse crate::names;\nuse crate::run::context::Context;\n";
        let expected =
            "operator/controller/src/cluster/observe.rs:3: `cluster::observe` must not import `run::context`";
        assert_eq!(faults(&[context, ("cluster/observe.rs", imports)]), [expected]);
        assert_eq!(faults(&[context, ("run/reconcile.rs", imports)]), [""; 0]);
        let inline = "//! Decides.\nfn now() { crate::run::context::now() }\n";
        assert_eq!(faults(&[context, ("decide/plan.rs", inline)]).len(), 1);
    }

    #[test]
    fn a_file_beside_the_rooms_must_not_import_a_room_and_the_root_files_may() {
        let text = "//! Names.\nuse crate::decide::plan::Plan;\n";
        let plan = ("decide/plan.rs", "//! The plan.\n");
        let expected = "operator/controller/src/names.rs:2: `names` must not import `decide::plan`";
        assert_eq!(faults(&[plan, ("names.rs", text)]), [expected]);
        assert_eq!(faults(&[plan, ("main.rs", text), ("lib.rs", text)]), [""; 0]);
    }

    #[test]
    fn lists_in_braces_and_relative_paths_are_imports_too() {
        let list = "//! Decides.\nuse crate::{names, cluster::{apply::{self, Pass}, events}};\n";
        let others = [("cluster/apply.rs", ""), ("cluster/events.rs", ""), ("names.rs", "")];
        assert_eq!(faults(&[&others[..], &[("decide/plan.rs", list)]].concat()).len(), 3);
        let relative = "//! Decides.\nuse super::super::cluster::apply::Pass;\n";
        assert_eq!(faults(&[&others[..], &[("decide/plan.rs", relative)]].concat()).len(), 1);
    }

    #[test]
    fn modules_that_import_each_other_are_named_with_the_place() {
        let files = [
            ("run/finalize.rs", "//! The end.\nuse crate::run::reconcile::Next;\n"),
            ("run/reconcile.rs", "//! The steps.\n\nuse super::finalize::finalize;\n"),
        ];
        let expected = "operator/controller/src/run/finalize.rs:2: these modules import each other in a circle: \
                        run::finalize -> run::reconcile -> run::finalize";
        assert_eq!(faults(&files), [expected]);
    }

    #[test]
    fn a_module_counts_as_one_with_its_children_and_comments_and_tests_do_not_count() {
        let files = [
            ("decide/plan.rs", "//! The plan, not crate::run::context.\nuse crate::decide::plan::kafka::Kafka;\n"),
            (
                "decide/plan/kafka.rs",
                "//! Topics.\nuse super::Plan;\n#[cfg(test)]\nmod tests {\n use crate::run::x;\n}\n",
            ),
        ];
        assert_eq!(faults(&files), [""; 0]);
    }
}
