//! Writes what the targets start from: `seeds OUT FILE…` makes OUT/reader and OUT/readback of documents.

use std::error::Error;
use std::path::Path;

const LARGEST_BYTES: usize = 64 * 1024; // larger ones are slow and show little more

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let out = arguments.next().ok_or("usage: seeds OUT FILE…")?;
    let mut count = 0;
    for (number, file) in arguments.enumerate() {
        let document = std::fs::read(&file)?;
        if document.len() > LARGEST_BYTES {
            continue;
        }
        for (place, (target, input)) in vermilion_fuzz::seeds(&document).into_iter().enumerate() {
            let folder = Path::new(&out).join(target);
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join(format!("{number:04}-{place:02}")), input)?;
            count += 1;
        }
    }
    println!("{count} seeds");
    Ok(())
}
