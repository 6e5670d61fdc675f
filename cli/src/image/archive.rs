//! A tar archive of one file, and its compression, with nothing in them that differs between two runs: no times, no owners.

use flate2::{Compression, GzBuilder};
use std::io::{self, Write};

const BLOCK: usize = 512;

/// An archive (ustar) with this file, readable for everybody.
pub fn tar(name: &str, content: &[u8]) -> io::Result<Vec<u8>> {
    let mut archive = header(name, content.len())?;
    archive.extend(content);
    // Files end at a block, the archive with two empty ones.
    let end = archive.len().next_multiple_of(BLOCK) + 2 * BLOCK;
    archive.resize(end, 0);
    Ok(archive)
}

fn header(name: &str, size: usize) -> io::Result<Vec<u8>> {
    let too_large = |what: &str| io::Error::other(format!("the {what} is too long for an archive"));
    if name.len() >= 100 {
        return Err(too_large("name"));
    }
    if size >= 1 << 33 {
        return Err(too_large("module"));
    }
    let before = format!("{name:\0<100}{:07o}\0{:07o}\0{:07o}\0{size:011o}\0{:011o}\0", 0o644, 0, 0, 0);
    // Type 0, a file; no link; the format; no owners, no devices, no prefix.
    let behind = format!("0{:\0<100}ustar\x0000{:\0<247}", "", "");
    let sum = |text: &str| text.bytes().map(u32::from).sum::<u32>();
    // The sum of all bytes, its own eight as spaces.
    let checksum = sum(&before) + sum(&behind) + 8 * u32::from(b' ');
    Ok(format!("{before}{checksum:06o}\0 {behind}").into_bytes())
}

/// Compressed, with neither name nor time.
pub fn gzip(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_whole_blocks_and_a_sum_that_is_right() {
        let archive = tar("plugin.wasm", &[7; 513]).unwrap();
        assert_eq!(archive.len(), BLOCK * 5);
        let mut header = archive[..BLOCK].to_vec();
        let told = u32::from_str_radix(std::str::from_utf8(&header[148..154]).unwrap(), 8).unwrap();
        header[148..156].fill(b' ');
        assert_eq!(header.iter().map(|byte| u32::from(*byte)).sum::<u32>(), told);
        assert_eq!(&header[257..265], b"ustar\x0000");
        assert!(tar(&"n".repeat(100), b"").is_err());
    }
}
