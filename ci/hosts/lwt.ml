(* SPDX-License-Identifier: MIT *)
(* OCaml's Lwt_process. *)
open Lwt.Infix

let folder = Sys.getenv "HOST_FOLDER"
let leaf = Sys.getenv "HOST_LEAF"
let right = ref 0
let wrong = ref 0

let run status =
  Lwt_process.exec (leaf, [| leaf; string_of_int status |]) >|= fun found ->
  incr (if found = Unix.WEXITED status then right else wrong)

let rec until_done () = if Sys.file_exists (folder ^ "/done") then Lwt.return_unit else run 3 >>= until_done

let main () =
  run 0 >>= fun () ->
  right := 0;
  close_out (open_out (folder ^ "/ready"));
  Lwt.join (List.init 20 (fun i -> run (100 + i))) >>= until_done

let () =
  Lwt_main.run (main ());
  Printf.printf "own %d right, %d wrong\n" !right !wrong
