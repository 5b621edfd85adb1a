//! Messages between a pool and its worker processes: frames of a length (u32, little-endian) and a message in
//! `MessagePack`.

use crate::pool::config::PoolConfig;
use crate::pool::task::TaskError;
use crate::pool::{Job, Payload};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

const LENGTH: usize = size_of::<u32>();

/// The first message to a worker: its configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) inner: PoolConfig,
    pub(super) memory_limit: Option<u64>,
    pub(super) cores: Vec<usize>,
}

/// An order to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    Hello(Hello),
    Job(Job),
    /// A result was taken.
    Taken,
    /// The job must stop.
    Stop,
}

/// A report of a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// It has received the job, and begins.
    Begun,
    Part {
        part: u64,
        value: Payload,
    },
    Done {
        parts: u64,
    },
    Failed(TaskError),
}

/// Writes a message as one piece.
pub(super) fn send(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut frame = vec![0; LENGTH];
    rmp_serde::encode::write_named(&mut frame, message).map_err(io::Error::other)?;
    let length = u32::try_from(frame.len() - LENGTH).map_err(|_| too_large())?;
    frame[..LENGTH].copy_from_slice(&length.to_le_bytes());
    to.write_all(&frame)?;
    to.flush()
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a message of more than 4 GiB")
}

/// Reads a message, waiting for it. At the end of the stream: [`io::ErrorKind::UnexpectedEof`].
pub(super) fn receive<M: DeserializeOwned>(from: &mut impl Read) -> io::Result<M> {
    let mut length = [0; LENGTH];
    from.read_exact(&mut length)?;
    let mut body = Vec::new();
    let length = u64::from(u32::from_le_bytes(length));
    if from.take(length).read_to_end(&mut body)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    rmp_serde::from_slice(&body).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

/// Removes the first complete message from the bytes read so far.
pub(super) fn split<M: DeserializeOwned>(read: &mut Vec<u8>) -> io::Result<Option<M>> {
    let Some((head, rest)) = read.split_first_chunk::<LENGTH>() else { return Ok(None) };
    let length = usize::try_from(u32::from_le_bytes(*head)).map_err(io::Error::other)?;
    let Some(body) = rest.get(..length) else { return Ok(None) };
    let message = rmp_serde::from_slice(body).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    read.drain(..LENGTH + length);
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_however_the_stream_is_cut() {
        let value = Payload::from(rmp_serde::to_vec_named(&[f64::NAN, f64::NEG_INFINITY, -0.0]).expect("encodes"));
        let mut stream = Vec::new();
        send(&mut stream, &Report::Part { part: 7, value: value.clone() }).expect("sends");
        send(&mut stream, &Report::Failed(TaskError::Panicked("ü".to_owned()))).expect("sends");
        for piece in [1, 2, 3, 5, stream.len()] {
            let (mut read, mut found) = (Vec::new(), Vec::new());
            for bytes in stream.chunks(piece) {
                read.extend_from_slice(bytes);
                while let Some(report) = split::<Report>(&mut read).expect("reads") {
                    found.push(report);
                }
            }
            assert!(read.is_empty());
            let [Report::Part { part: 7, value: arrived }, Report::Failed(error)] = &found[..] else {
                panic!("{found:?}")
            };
            assert_eq!((arrived, error), (&value, &TaskError::Panicked("ü".to_owned())));
        }
        let cut = &stream[..stream.len() - 1];
        let mut from = cut;
        assert!(receive::<Report>(&mut from).is_ok());
        let end = receive::<Report>(&mut from).expect_err("cut");
        assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
    }
}
