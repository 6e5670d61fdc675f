//! The files that `-f` names, and the certificates that are named in them, watched for edits.
//!
//! Their state is asked for again and again rather than announced by the system: that works on every file system and for
//! every way to save (in place, by renaming, by turning a link), loses nothing, and tells whether anything changed while the
//! files were being read.

use mesh_policy_compiler::Sources;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How long the files must be at rest: whoever copies a folder writes its files one after another.
const REST: Duration = Duration::from_millis(100);

/// How often the state is asked for.
const INTERVAL: Duration = Duration::from_millis(40);

/// How much longer than the asking itself the pause after it is, so that huge folders cost no more than a hundredth of a
/// processor.
const PAUSE_PER_SCAN: u32 = 100;

/// A longer pause would be felt.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Files and folders under watch.
#[derive(Debug)]
pub struct Watch {
    inputs: Vec<PathBuf>,
    /// Files beside them.
    attended: BTreeSet<PathBuf>,
    /// What was last read.
    read: State,
    /// What was last seen, and since when it has been so.
    seen: State,
    since: Instant,
    pause: Duration,
}

/// The files, or why they cannot be listed.
type State = Result<BTreeMap<PathBuf, Stamp>, String>;

/// Differs once a file was written, replaced or removed. The time of the last change of the inode cannot be set back.
type Stamp = Option<(u64, u64, u64, [i64; 4])>;

impl Watch {
    /// What is seen now counts as read: to be called before reading.
    pub fn start(inputs: &[PathBuf]) -> Self {
        let attended = BTreeSet::new();
        let seen = state(inputs, &attended);
        let (inputs, read) = (inputs.to_owned(), seen.clone());
        Self { inputs, attended, read, seen, since: Instant::now(), pause: INTERVAL }
    }

    /// Watches these files beside the inputs, in place of those before. One that is new among them counts as read as it is,
    /// unless it has changed since `read`.
    pub fn attend(&mut self, files: BTreeSet<PathBuf>, read: SystemTime) {
        let gone: Vec<PathBuf> = self.attended.difference(&files).cloned().collect();
        let new: Vec<PathBuf> = files.difference(&self.attended).cloned().collect();
        for file in new {
            let stamp = stamp(&file);
            let is_newer =
                fs::metadata(&file).and_then(|data| data.modified()).is_ok_and(|time| time >= read);
            for (state, stamp) in [(&mut self.seen, stamp), (&mut self.read, stamp.filter(|_| !is_newer))] {
                if let Ok(state) = state {
                    state.entry(file.clone()).or_insert(stamp);
                }
            }
        }
        for state in [&mut self.seen, &mut self.read].into_iter().flatten() {
            state.retain(|file, _| !gone.contains(file));
        }
        self.attended = files;
    }

    /// How long to wait before looking again.
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// Looks, and says whether there is an edit that has come to its end.
    pub fn is_due(&mut self) -> bool {
        let begun = Instant::now();
        let now = state(&self.inputs, &self.attended);
        self.pause = begun.elapsed().saturating_mul(PAUSE_PER_SCAN).clamp(INTERVAL, LONGEST_PAUSE);
        if self.note(now) {
            return false;
        }
        self.seen != self.read && self.since.elapsed() >= REST
    }

    /// Reads the files; nothing when they changed meanwhile, for what was read may be half of an edit.
    pub fn read<T>(&mut self, read: impl FnOnce() -> T) -> Option<(T, Edit)> {
        let value = read();
        let now = state(&self.inputs, &self.attended);
        if self.note(now) {
            return None;
        }
        let edit = Edit { files: difference(&self.read, &self.seen), since: self.since };
        self.read = self.seen.clone();
        Some((value, edit))
    }

    /// Counts what was read last as not read: it is due again after the next rest.
    pub fn again(&mut self) {
        self.read = Err("to be read again".to_owned());
        self.since = Instant::now();
    }

    fn note(&mut self, now: State) -> bool {
        let changed = now != self.seen;
        if changed {
            self.seen = now;
            self.since = Instant::now();
        }
        changed
    }
}

/// An edit that was read.
#[derive(Debug)]
pub struct Edit {
    /// The files that were written, added or removed.
    pub files: Vec<PathBuf>,
    /// When the last of it was seen.
    pub since: Instant,
}

fn state(inputs: &[PathBuf], attended: &BTreeSet<PathBuf>) -> State {
    let files = Sources::files(inputs).map_err(|error| error.to_string())?;
    Ok(files.iter().chain(attended).map(|file| (file.clone(), stamp(file))).collect())
}

fn stamp(file: &Path) -> Stamp {
    let data = fs::metadata(file).ok()?;
    let times = [data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec()];
    Some((data.dev(), data.ino(), data.size(), times))
}

fn difference(old: &State, new: &State) -> Vec<PathBuf> {
    let empty = BTreeMap::new();
    let (old, new) = (old.as_ref().unwrap_or(&empty), new.as_ref().unwrap_or(&empty));
    let changed = new.iter().filter(|(file, stamp)| old.get(*file) != Some(*stamp));
    let removed = old.iter().filter(|(file, _)| !new.contains_key(*file));
    let mut files: Vec<PathBuf> = changed.chain(removed).map(|(file, _)| file.clone()).collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;

    fn until_due(watch: &mut Watch) {
        let begun = Instant::now();
        while !watch.is_due() {
            assert!(begun.elapsed() < Duration::from_secs(20), "{watch:?}");
            sleep(Duration::from_millis(5));
        }
    }

    fn names(edit: &Edit) -> Vec<&str> {
        edit.files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect()
    }

    #[test]
    fn an_edit_is_due_once_the_files_are_at_rest() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), "1").unwrap();
        let mut watch = Watch::start(&[folder.path().to_owned()]);
        assert!(!watch.is_due());
        fs::write(folder.path().join("a.yaml"), "2").unwrap();
        fs::write(folder.path().join("b.yaml"), "1").unwrap();
        fs::write(folder.path().join("c.txt"), "no resources").unwrap();
        let begun = Instant::now();
        until_due(&mut watch);
        assert!(begun.elapsed() >= REST);
        let ((), edit) = watch.read(|| ()).unwrap();
        assert_eq!(names(&edit), ["a.yaml", "b.yaml"]);
        assert!(!watch.is_due());
        fs::remove_file(folder.path().join("a.yaml")).unwrap();
        until_due(&mut watch);
        assert_eq!(names(&watch.read(|| ()).unwrap().1), ["a.yaml"]);
    }

    #[test]
    fn a_file_of_the_same_size_and_time_is_another_one_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("a.yaml"), folder.path().join(".new"));
        fs::write(&file, "1").unwrap();
        let time = fs::metadata(&file).unwrap().modified().unwrap();
        let mut watch = Watch::start(std::slice::from_ref(&file));
        fs::write(&other, "2").unwrap();
        fs::File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
        fs::rename(&other, &file).unwrap();
        until_due(&mut watch);
    }

    #[test]
    fn what_changes_while_it_is_read_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        fs::write(&file, "1").unwrap();
        let mut watch = Watch::start(&[folder.path().to_owned()]);
        fs::write(&file, "22").unwrap();
        until_due(&mut watch);
        assert!(watch.read(|| fs::write(&file, "333").unwrap()).is_none());
        assert!(!watch.is_due());
        until_due(&mut watch);
        assert_eq!(watch.read(|| fs::read_to_string(&file).unwrap()).unwrap().0, "333");
    }

    #[test]
    fn files_beside_the_inputs_are_watched_from_the_time_they_were_read() {
        let folder = tempfile::tempdir().unwrap();
        let (input, old, new) =
            (folder.path().join("a.yaml"), folder.path().join("old.crt"), folder.path().join("new.crt"));
        fs::write(&input, "1").unwrap();
        fs::write(&old, "1").unwrap();
        let mut watch = Watch::start(std::slice::from_ref(&input));
        // The clock of files ticks more slowly than that of the processor.
        sleep(Duration::from_millis(50));
        let read = SystemTime::now();
        watch.attend([old.clone(), folder.path().join("missing.crt")].into(), read);
        assert!(!watch.is_due());
        fs::write(&old, "22").unwrap();
        until_due(&mut watch);
        assert_eq!(names(&watch.read(|| ()).unwrap().1), ["old.crt"]);
        fs::write(folder.path().join("missing.crt"), "1").unwrap();
        until_due(&mut watch);
        watch.read(|| ()).unwrap();
        // What is named only now and was written after the reading began is read again.
        sleep(Duration::from_millis(50));
        fs::write(&new, "1").unwrap();
        watch.attend([old.clone(), new.clone()].into(), read);
        until_due(&mut watch);
        assert_eq!(names(&watch.read(|| ()).unwrap().1), ["new.crt"]);
        watch.attend(BTreeSet::new(), SystemTime::now());
        fs::write(&old, "333").unwrap();
        sleep(2 * REST);
        assert!(!watch.is_due());
    }

    #[test]
    fn a_folder_that_goes_away_is_an_edit_and_so_is_its_return() {
        let folder = tempfile::tempdir().unwrap();
        let (here, away) = (folder.path().join("here"), folder.path().join("away"));
        fs::create_dir(&here).unwrap();
        fs::write(here.join("a.yaml"), "1").unwrap();
        let mut watch = Watch::start(std::slice::from_ref(&here));
        fs::rename(&here, &away).unwrap();
        until_due(&mut watch);
        watch.read(|| ()).unwrap();
        fs::rename(&away, &here).unwrap();
        until_due(&mut watch);
    }
}
