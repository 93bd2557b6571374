//! Real files, real inotify; waits for what must come, with a deadline.

use std::{
    fs,
    os::unix::fs::symlink,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::timeout};

use super::*;

/// Long enough for a loaded machine; nothing waits for it unless it fails.
const DEADLINE: Duration = Duration::from_secs(20);
/// As the real one, but for the patience of a test.
const QUICK: Pace =
    Pace { quiet: Duration::from_millis(20), patience: Duration::from_millis(200), poll: Duration::from_mins(10) };

fn yaml(addresses: &[&str]) -> String {
    let nodes: Vec<String> = addresses
        .iter()
        .enumerate()
        .map(|(n, address)| format!("  node{n:02}: {{ addresses: [{address}] }}\n"))
        .collect();
    let nodes = nodes.concat();
    format!(
        "bind: {{ key_file: rotad.key }}\nnodes:\n{nodes}services: {{ imap: {{ publish: address, name: imap }} }}\n\
         domains: {{ a.org: {{ services: [imap] }} }}\n"
    )
}

/// A watched folder.
struct Watched {
    folder: TempDir,
    current: watch::Receiver<Arc<Current>>,
    reload: mpsc::Sender<Look>,
    task: JoinHandle<()>,
}

impl Watched {
    /// Watches `cluster.yaml` in a folder that `prepare` fills.
    fn start(prepare: impl FnOnce(&Path)) -> Self {
        Self::paced(prepare, QUICK, true, Input::of)
    }

    fn paced(prepare: impl FnOnce(&Path), pace: Pace, inotify: bool, read: key::Read) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let path = folder.path().join("cluster.yaml");
        let initial = files::load(&path).unwrap();
        let key = initial.key_now();
        let (sender, current) = watch::channel(Arc::new(Current::new(&initial)));
        let (reload, signals) = mpsc::channel(8);
        let task = tokio::spawn(async move {
            let touched = Arc::new(Notify::new());
            let eyes = || if inotify { Eyes::open(&touched) } else { Eyes::closed() };
            let keys = KeyLook::new(eyes(), &touched, read);
            Watch::new(path, initial, (key, keys), sender).run(eyes(), &touched, signals, pace).await;
        });
        Self { folder, current, reload, task }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn until(&mut self, what: &str, right: impl Fn(&Current) -> bool) -> Arc<Current> {
        let found = timeout(DEADLINE, self.current.wait_for(|current| right(current))).await;
        let found = found.map(|current| Arc::clone(&current.unwrap()));
        found.unwrap_or_else(|_| panic!("no {what}: {:?}", self.current.borrow()))
    }

    async fn until_nodes(&mut self, count: usize) -> Arc<Current> {
        self.until(&format!("{count} nodes"), |current| current.cluster.nodes.len() == count).await
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn plain(folder: &Path) {
    fs::write(folder.join("cluster.yaml"), yaml(&["192.0.2.1"])).unwrap();
    fs::write(folder.join("rotad.key"), "one").unwrap();
}

const TWO: [&str; 2] = ["192.0.2.1", "192.0.2.2"];
const THREE: [&str; 3] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];

#[tokio::test]
async fn edits_are_taken_however_they_are_saved() {
    let mut watched = Watched::start(plain);
    let file = watched.path("cluster.yaml");
    // Renamed over, as vim and sed -i do.
    fs::write(watched.path("cluster.yaml.new"), yaml(&TWO)).unwrap();
    fs::rename(watched.path("cluster.yaml.new"), &file).unwrap();
    watched.until_nodes(2).await;
    // Truncated and written.
    fs::write(&file, yaml(&THREE)).unwrap();
    watched.until_nodes(3).await;
    // Moved away as a backup, then written anew.
    fs::rename(&file, watched.path("cluster.yaml~")).unwrap();
    fs::write(&file, yaml(&TWO)).unwrap();
    watched.until_nodes(2).await;
}

#[tokio::test]
async fn a_symbolic_link_that_is_swapped_is_an_edit() {
    let mut watched = Watched::start(|folder| {
        for (version, addresses) in [("..1", &TWO[..]), ("..2", &THREE[..])] {
            fs::create_dir(folder.join(version)).unwrap();
            fs::write(folder.join(version).join("cluster.yaml"), yaml(addresses)).unwrap();
        }
        symlink("..1", folder.join("..data")).unwrap();
        symlink("..data/cluster.yaml", folder.join("cluster.yaml")).unwrap();
    });
    symlink("..2", watched.path("..data_tmp")).unwrap();
    fs::rename(watched.path("..data_tmp"), watched.path("..data")).unwrap();
    watched.until_nodes(3).await;
    // And an edit of what the link leads to now.
    fs::write(watched.path("..2/cluster.yaml"), yaml(&TWO)).unwrap();
    watched.until_nodes(2).await;
}

#[tokio::test]
async fn a_broken_edit_changes_nothing_until_it_is_mended() {
    let mut watched = Watched::start(plain);
    let before = Arc::clone(&watched.current.borrow().cluster);
    let file = watched.path("cluster.yaml");
    fs::write(&file, yaml(&["0.0.0.0", "nonsense"])).unwrap();
    let current = watched.until("an error", |current| current.error.is_some()).await;
    assert!(Arc::ptr_eq(&current.cluster, &before));
    let error = current.error.clone().unwrap();
    let expected = format!(
        "{}:3:25: node \"node00\": addresses: 0.0.0.0 is no host's address; write the address that clients connect to \
         (and 1 problem more)",
        file.display()
    );
    assert_eq!(error, expected);
    fs::write(&file, yaml(&["192.0.2.1"])).unwrap();
    let current = watched.until("no error", |current| current.error.is_none()).await;
    assert!(Arc::ptr_eq(&current.cluster, &before));
}

#[tokio::test]
async fn an_empty_or_vanished_file_is_told_at_the_second_look() {
    let mut watched = Watched::start(plain);
    let file = watched.path("cluster.yaml");
    fs::remove_file(&file).unwrap();
    // Whatever happens in the folder makes it look again.
    let told = async {
        let mut number = 0;
        loop {
            fs::write(watched.folder.path().join("other"), format!("{number}")).unwrap();
            number += 1;
            let error = watched.current.wait_for(|current| current.error.is_some());
            if timeout(Duration::from_millis(100), error).await.is_ok() {
                return;
            }
        }
    };
    timeout(DEADLINE, told).await.unwrap();
    assert!(watched.current.borrow().error.as_deref().unwrap().contains("No such file"));
    assert_eq!(watched.current.borrow().cluster.nodes.len(), 1);
    fs::write(&file, yaml(&TWO)).unwrap();
    let current = watched.until_nodes(2).await;
    assert_eq!(current.error, None);
}

#[tokio::test]
async fn the_key_file_has_its_own_count() {
    let mut watched = Watched::start(plain);
    let before = Arc::clone(&watched.current.borrow());
    fs::write(watched.path("key.new"), "two").unwrap();
    fs::rename(watched.path("key.new"), watched.path("rotad.key")).unwrap();
    let current = watched.until("the next key", |current| current.key_epoch == before.key_epoch + 1).await;
    assert!(Arc::ptr_eq(&current.cluster, &before.cluster));
    assert_eq!((current.loaded_at, &current.error), (before.loaded_at, &None));
}

/// A file system that hangs, for as long as this is set.
static HANGS: AtomicBool = AtomicBool::new(false);

fn hung(path: &Path, most: u64) -> Input {
    while HANGS.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(5));
    }
    Input::of(path, most)
}

/// Whatever becomes of the test, no thread waits for ever.
struct Hangs;

impl Drop for Hangs {
    fn drop(&mut self) {
        HANGS.store(false, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn f6_a_key_on_a_file_system_that_hangs_delays_no_edit() {
    HANGS.store(true, Ordering::Relaxed);
    let hangs = Hangs;
    let mut watched = Watched::paced(plain, QUICK, true, hung);
    for nodes in [&TWO[..], &THREE[..]] {
        fs::write(watched.path("rotad.key"), format!("{} keys", nodes.len())).unwrap();
        fs::write(watched.path("cluster.yaml"), yaml(nodes)).unwrap();
        let current = watched.until_nodes(nodes.len()).await;
        assert_eq!(current.key_epoch, 0);
    }
    drop(hangs);
    watched.until("the next key", |current| current.key_epoch == 1).await;
}

#[tokio::test]
async fn f6_what_stands_in_the_place_of_the_key_is_another_key_at_once() {
    let mut watched = Watched::start(plain);
    mkfifoat(CWD, watched.path("fifo"), Mode::RUSR).unwrap();
    fs::rename(watched.path("fifo"), watched.path("rotad.key")).unwrap();
    watched.until("the FIFO", |current| current.key_epoch == 1).await;
    assert!(!Input::of(&watched.path("rotad.key"), 1).is_empty(), "no second look is waited for");
    fs::write(watched.path("key.new"), "one").unwrap();
    fs::rename(watched.path("key.new"), watched.path("rotad.key")).unwrap();
    watched.until("the key of before", |current| current.key_epoch == 2).await;
}

#[tokio::test]
async fn domain_lists_are_watched_from_the_edit_that_names_them() {
    let mut watched = Watched::start(plain);
    fs::create_dir(watched.path("lists")).unwrap();
    let lists = "domain_lists: [{ file: lists/more.txt, services: [imap] }]\n";
    fs::write(watched.path("cluster.yaml"), yaml(&TWO) + lists).unwrap();
    watched.until("the missing list", |current| current.error.is_some()).await;
    fs::write(watched.path("lists/more.txt"), "b.org\n").unwrap();
    watched.until("two domains", |current| current.cluster.domains.len() == 2 && current.error.is_none()).await;
    fs::write(watched.path("lists/more.txt"), "b.org\nc.org\n").unwrap();
    watched.until("three domains", |current| current.cluster.domains.len() == 3).await;
    fs::write(watched.path("lists/more.txt"), "b..org\n").unwrap();
    let current = watched.until("an error", |current| current.error.is_some()).await;
    assert_eq!(current.cluster.domains.len(), 3);
}

#[tokio::test]
async fn the_poll_alone_finds_edits() {
    let pace = Pace { poll: Duration::from_millis(50), ..QUICK };
    let mut watched = Watched::paced(plain, pace, false, Input::of);
    fs::write(watched.path("cluster.yaml"), yaml(&TWO)).unwrap();
    watched.until_nodes(2).await;
    // The whole folder swapped under its name.
    let (old, new) = (watched.path("old"), watched.path("cluster.yaml"));
    fs::rename(&new, &old).unwrap();
    fs::write(&new, yaml(&THREE)).unwrap();
    watched.until_nodes(3).await;
}

#[tokio::test]
async fn a_signal_makes_it_look_at_once() {
    // Neither inotify nor a poll: only the signal is left.
    let mut watched = Watched::paced(plain, QUICK, false, Input::of);
    // The look at the start is over when an asked one is.
    let before = watched.current.borrow().loaded_at;
    watched.reload.send(Look::Signal).await.unwrap();
    watched.until("a look", |current| current.loaded_at > before).await;
    fs::write(watched.path("cluster.yaml"), "").unwrap();
    watched.reload.send(Look::Signal).await.unwrap();
    watched.until("an error", |current| current.error.is_some()).await;
    fs::write(watched.path("cluster.yaml"), yaml(&TWO)).unwrap();
    watched.reload.send(Look::Signal).await.unwrap();
    watched.until_nodes(2).await;
}

#[tokio::test]
async fn it_ends_when_nobody_listens() {
    let mut watched = Watched::start(plain);
    let (_, other) = watch::channel(Arc::clone(&watched.current.borrow()));
    watched.current = other;
    timeout(DEADLINE, &mut watched.task).await.unwrap().unwrap();
}

#[test]
fn changes_are_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cluster.yaml");
    let load = |text: String| {
        fs::write(&path, text).unwrap();
        files::load(&path).unwrap().cluster
    };
    let old = load(yaml(&TWO));
    let new = load(
        yaml(&["192.0.2.9"])
            .replace("rotad.key }", "rotad.key, server: 192.0.2.53 }\ncluster: other")
            .replace("a.org: { services: [imap] }", "b.org: { services: [imap] }, c.org: { services: [imap] }"),
    );
    assert_eq!(
        old.changes(&new),
        [
            "cluster changed",
            "bind.server changed",
            "node node01 removed",
            "node node00 changed (addresses)",
            "2 domains added (b.org, c.org)",
            "domain a.org removed"
        ]
    );
    assert_eq!(old.needs_restart(&new), ["cluster", "bind.server"]);
    assert!(old.changes(&old).is_empty());
}
