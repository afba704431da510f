// SPDX-License-Identifier: MIT
// Rust's std::process.
use std::{env, fs, path::Path, process::{Child, Command}};

fn start(status: i32) -> Child {
    Command::new(env::var("HOST_LEAF").unwrap()).arg(status.to_string()).spawn().unwrap()
}

fn main() {
    let folder = env::var("HOST_FOLDER").unwrap();
    let (mut right, mut wrong) = (0, 0);
    let mut judge = |mut child: Child, status: i32| {
        if child.wait().ok().and_then(|found| found.code()) == Some(status) { right += 1 } else { wrong += 1 }
    };
    start(0).wait().unwrap();
    fs::write(format!("{folder}/ready"), "").unwrap();
    let children: Vec<_> = (100..120).map(|status| (start(status), status)).collect();
    for (child, status) in children {
        judge(child, status);
    }
    while !Path::new(&format!("{folder}/done")).exists() {
        judge(start(3), 3);
    }
    println!("own {right} right, {wrong} wrong");
}
