//! Passes the revision, the date and the platform of this build to the code.

use std::error::Error;

use vergen_gitcl::{Build, Cargo, Emitter, Gitcl, Rustc};

fn main() -> Result<(), Box<dyn Error>> {
    let mut emitter = Emitter::default();
    // Outside of a clone of the repository, for example in an image, the variable VERGEN_GIT_SHA gives the revision.
    emitter.default_on_error().quiet();
    emitter.add_instructions(&Rustc::builder().semver(true).build())?;
    emitter.add_instructions(&Cargo::builder().target_triple(true).build())?;
    // Not in a development build: otherwise each commit would cause the tests to be built again.
    if std::env::var("PROFILE").as_deref() == Ok("release") {
        emitter.add_instructions(&Build::builder().build_date(true).build())?;
        emitter.add_instructions(&Gitcl::builder().sha(true).build())?;
    }
    emitter.emit()?;
    Ok(())
}
