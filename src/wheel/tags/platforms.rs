//! Platforms: which systems a wheel may be built for, so that an interpreter can use it.
//!
//! Promises the platforms of `packaging` in its order, for Linux with glibc or musl and for macOS;
//! any other system has the one platform that the interpreter was built for.
//!
//! Read next: `../tags.rs`, where a platform is the last part of a tag.

use crate::python::Platform;

/// The names of the older policies for wheels of Linux, and the glibc that each demands.
const POLICIES: [(u32, &str); 3] = [
    (17, "manylinux2014"),
    (12, "manylinux2010"),
    (5, "manylinux1"),
];
/// More minor versions than any C library or macOS will have.
const MINOR_MAX: u32 = 200;

/// The platforms, from the most to the least specific.
pub(super) fn platforms(platform: &Platform) -> Vec<String> {
    let built_for = platform.built_for.replace(['-', '.', ' '], "_");
    match platform.sys_platform.as_str() {
        "linux" => linux(platform, &built_for),
        "darwin" => macos(platform).unwrap_or_else(|| vec![built_for]),
        _ => vec![built_for],
    }
}

fn linux(platform: &Platform, built_for: &str) -> Vec<String> {
    let Some(machine) = built_for.strip_prefix("linux_") else {
        return vec![built_for.to_owned()];
    };
    let machines: &[&str] = match machine {
        // An interpreter of 32 bits on a system of 64 bits.
        "x86_64" if !platform.is_64bit => &["i686"],
        "aarch64" | "armv8l" if !platform.is_64bit => &["armv8l", "armv7l"],
        machine => &[machine],
    };
    let mut found: Vec<String> = machines.iter().map(|one| format!("linux_{one}")).collect();
    for machine in machines {
        match system(platform) {
            Some(("glibc", (2, minor))) if has_policies(machines) => {
                found.extend(manylinux(minor, machine));
            }
            Some(("musl", (major, minor))) => {
                let minors = (0..=minor).rev();
                let tag = |minor| format!("musllinux_{major}_{minor}_{machine}");
                found.extend(minors.map(tag));
            }
            Some(_) | None => {}
        }
    }
    found
}

/// The processors that the policies for wheels know.
fn has_policies(machines: &[&str]) -> bool {
    let known = [
        "x86_64",
        "i686",
        "aarch64",
        "armv7l",
        "ppc64",
        "ppc64le",
        "s390x",
        "loongarch64",
        "riscv64",
    ];
    machines.iter().any(|machine| known.contains(machine))
}

fn manylinux(newest: u32, machine: &str) -> Vec<String> {
    let oldest = match machine {
        "x86_64" | "i686" => 5,
        _ => 17,
    };
    let mut found = Vec::new();
    for minor in (oldest..=newest).rev() {
        found.push(format!("manylinux_2_{minor}_{machine}"));
        let old = POLICIES.iter().find(|(of, _)| *of == minor);
        found.extend(old.map(|(_, name)| format!("{name}_{machine}")));
    }
    found
}

fn macos(platform: &Platform) -> Option<Vec<String>> {
    let ("macos", (major, minor)) = system(platform)? else {
        return None;
    };
    let machine = match platform.machine.as_str() {
        machine if platform.is_64bit => machine,
        _ => "i386",
    };
    let mut versions: Vec<(u32, u32)> = Vec::new();
    if major == 10 {
        versions.extend((0..=minor).rev().map(|minor| (10, minor)));
    } else {
        // From 11 on, each year has a new major version.
        versions.extend((11..=major).rev().map(|major| (major, 0)));
        versions.extend((4..=16).rev().map(|minor| (10, minor)));
    }
    let tags = versions.into_iter().flat_map(|(at, part)| {
        let formats = match (machine, at) {
            // No macOS before 11 ran on arm64; a file for both processors may say an older one.
            ("x86_64", _) | (_, 11..) => formats((at, part), machine),
            _ if major == 10 => formats((at, part), machine),
            _ => vec!["universal2"],
        };
        formats
            .into_iter()
            .map(move |format| format!("macosx_{at}_{part}_{format}"))
    });
    Some(tags.collect())
}

/// The formats of executables that run on a processor, since a version of macOS.
fn formats(version: (u32, u32), machine: &str) -> Vec<&str> {
    match machine {
        "x86_64" | "i386" if version < (10, 4) => Vec::new(),
        "x86_64" => vec![
            "x86_64",
            "intel",
            "fat64",
            "fat3",
            "universal2",
            "universal",
        ],
        "i386" => vec!["i386", "intel", "fat3", "fat", "universal"],
        "arm64" => vec!["arm64", "universal2"],
        machine => vec![machine],
    }
}

/// The kind of system and its version.
fn system(platform: &Platform) -> Option<(&str, (u32, u32))> {
    let (kind, version) = platform.system.split_once(' ')?;
    let mut numbers = version.split('.').map(|part| {
        let end = part.find(|c: char| !c.is_ascii_digit());
        let digits = part.get(..end.unwrap_or(part.len()));
        digits.and_then(|digits| digits.parse().ok())
    });
    let major = numbers.next()??;
    let minor = numbers.next().flatten().unwrap_or(0);
    let is_real = major <= MINOR_MAX && minor <= MINOR_MAX;
    is_real.then_some((kind, (major, minor)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python;

    fn check(sys_platform: &str, machine: &str, system: &str, expected: &[&str]) {
        let mut platform = python::sample(12, "/p").platform;
        platform.sys_platform = sys_platform.to_owned();
        platform.machine = machine.to_owned();
        platform.system = system.to_owned();
        platform.built_for = match sys_platform {
            "darwin" => format!("macosx-11.0-{machine}"),
            "win32" => "win-amd64".to_owned(),
            _ => format!("linux-{machine}"),
        };
        assert_eq!(platforms(&platform), expected);
    }

    #[test]
    fn each_system_has_its_own_platforms() {
        check(
            "linux",
            "aarch64",
            "glibc 2.19",
            &[
                "linux_aarch64",
                "manylinux_2_19_aarch64",
                "manylinux_2_18_aarch64",
                "manylinux_2_17_aarch64",
                "manylinux2014_aarch64",
            ],
        );
        let musl = [
            "linux_x86_64",
            "musllinux_1_1_x86_64",
            "musllinux_1_0_x86_64",
        ];
        check("linux", "x86_64", "musl 1.1.24", &musl);
        check("linux", "x86_64", "", &["linux_x86_64"]);
        check("linux", "mips64", "glibc 2.36", &["linux_mips64"]);
        check("win32", "AMD64", "", &["win_amd64"]);
        let mut arm = Vec::new();
        arm.extend(["macosx_12_0_arm64", "macosx_12_0_universal2"]);
        arm.extend(["macosx_11_0_arm64", "macosx_11_0_universal2"]);
        let old: Vec<String> = (4..=16)
            .rev()
            .map(|minor| format!("macosx_10_{minor}_universal2"))
            .collect();
        arm.extend(old.iter().map(String::as_str));
        check("darwin", "arm64", "macos 12.6", &arm);
        check("darwin", "arm64", "macos x", &["macosx_11_0_arm64"]);
    }
}
