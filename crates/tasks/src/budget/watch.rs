//! Watches the memory while tasks run.

use super::probe::used_share;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Receives warnings, which are worth knowing but are not errors.
pub type Warn = Arc<dyn Fn(&str) + Send + Sync>;

/// Warn if a larger share of the memory is in use.
pub const SHARE: f64 = 0.8;
/// Below this share the warning is reset.
const RELIEF: f64 = 0.75;
const INTERVAL: Duration = Duration::from_secs(1);

/// Warns when more than 80 % of the memory is in use, once each time that this happens. It ends when it is dropped.
#[derive(Debug)]
pub struct MemoryWatch {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MemoryWatch {
    /// Watches the memory of the machine and of the control group once per second.
    ///
    /// # Errors
    /// The system cannot start another thread.
    pub fn start(warn: Warn) -> io::Result<Self> {
        Self::start_with(Box::new(used_share), INTERVAL, warn)
    }

    fn start_with(
        mut sample: Box<dyn FnMut() -> Option<f64> + Send>,
        interval: Duration,
        warn: Warn,
    ) -> io::Result<Self> {
        let (end, ended) = channel::<()>();
        let watch = move || {
            let mut level = Level::default();
            while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                if let Some(text) = sample().and_then(|share| level.see(share)) {
                    warn(&text);
                }
            }
        };
        let thread = std::thread::Builder::new().name("memory watch".to_owned()).spawn(watch)?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whether the last warning still applies.
#[derive(Debug, Default)]
struct Level {
    high: bool,
}

impl Level {
    fn see(&mut self, share: f64) -> Option<String> {
        let was_high = self.high;
        self.high = share > if was_high { RELIEF } else { SHARE };
        (self.high && !was_high)
            .then(|| format!("{:.0} % of the memory is in use: fewer workers would be safer", share * 100.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    #[cfg_attr(miri, ignore = "waits")]
    fn it_warns_once_each_time_it_passes_80_percent() {
        let mut shares = [0.5, 0.79, 0.81, 0.9, 0.78, 0.82, 0.7, 0.85].into_iter();
        let (texts, (told, done)) = (Arc::new(Mutex::new(Vec::new())), channel());
        let sample = move || {
            let next = shares.next();
            if next.is_none() {
                let _ = told.send(());
            }
            next
        };
        let heard = Arc::clone(&texts);
        let warn: Warn = Arc::new(move |text| heard.lock().expect("lock").push(text.to_owned()));
        let watch = MemoryWatch::start_with(Box::new(sample), Duration::from_millis(1), warn).expect("starts");
        done.recv().expect("all samples were taken");
        drop(watch);
        let texts = texts.lock().expect("lock");
        assert_eq!(texts.len(), 2, "{texts:?}");
        assert!(texts[0].starts_with("81 %") && texts[1].starts_with("85 %"), "{texts:?}");
    }
}
