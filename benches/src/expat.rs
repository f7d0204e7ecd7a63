//! libexpat as it is installed on this machine, with namespaces on and the bans of RFC 6120 in force.
//!
//! It is loaded while the program runs: nobody needs its development files to build this.

// Foreign functions cannot be called otherwise.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::NonNull;

/// What the dynamic linker calls it.
const LIBRARY: &CStr = c"libexpat.so.1";

type Parser = *mut c_void;
type StartHandler = extern "C" fn(*mut c_void, *const c_char, *const *const c_char);
type EndHandler = extern "C" fn(*mut c_void, *const c_char);
type TextHandler = extern "C" fn(*mut c_void, *const c_char, c_int);
type PairHandler = extern "C" fn(*mut c_void, *const c_char, *const c_char);
type DoctypeHandler = extern "C" fn(*mut c_void, *const c_char, *const c_char, *const c_char, c_int);

/// The functions of the library that are needed.
#[derive(Clone, Copy)]
pub(crate) struct Expat {
    create: unsafe extern "C" fn(*const c_char, c_char) -> Parser,
    free: unsafe extern "C" fn(Parser),
    parse: unsafe extern "C" fn(Parser, *const c_char, c_int, c_int) -> c_int,
    stop: unsafe extern "C" fn(Parser, u8) -> c_int,
    set_user_data: unsafe extern "C" fn(Parser, *mut c_void),
    set_elements: unsafe extern "C" fn(Parser, StartHandler, EndHandler),
    set_text: unsafe extern "C" fn(Parser, TextHandler),
    set_instruction: unsafe extern "C" fn(Parser, PairHandler),
    set_comment: unsafe extern "C" fn(Parser, EndHandler),
    set_doctype: unsafe extern "C" fn(Parser, DoctypeHandler),
}

/// What the handlers see.
struct Seen {
    elements: usize,
    parser: Parser,
    stop: unsafe extern "C" fn(Parser, u8) -> c_int,
}

impl Expat {
    /// Loads the library; `None` if it is not installed.
    pub(crate) fn load() -> Option<Self> {
        // SAFETY: the name is a C string; loading libexpat runs no code that has preconditions.
        let library = NonNull::new(unsafe { libc::dlopen(LIBRARY.as_ptr(), libc::RTLD_NOW) })?;
        // SAFETY: each symbol is given the type that expat.h (2.x) declares it with, and the library stays loaded.
        unsafe {
            Some(Self {
                create: symbol(library, c"XML_ParserCreateNS")?,
                free: symbol(library, c"XML_ParserFree")?,
                parse: symbol(library, c"XML_Parse")?,
                stop: symbol(library, c"XML_StopParser")?,
                set_user_data: symbol(library, c"XML_SetUserData")?,
                set_elements: symbol(library, c"XML_SetElementHandler")?,
                set_text: symbol(library, c"XML_SetCharacterDataHandler")?,
                set_instruction: symbol(library, c"XML_SetProcessingInstructionHandler")?,
                set_comment: symbol(library, c"XML_SetCommentHandler")?,
                set_doctype: symbol(library, c"XML_SetStartDoctypeDeclHandler")?,
            })
        }
    }

    /// Parses one document in chunks; the number of elements, or `None` where expat refuses it or a ban stops it.
    pub(crate) fn parse<'a>(&self, chunks: impl Iterator<Item = &'a [u8]>) -> Option<usize> {
        // SAFETY: no encoding is named, and 0x1F cannot be part of a name.
        let parser = unsafe { (self.create)(std::ptr::null(), 0x1f) };
        if parser.is_null() {
            return None;
        }
        let mut seen = Seen { elements: 0, parser, stop: self.stop };
        // SAFETY: the parser is alive until it is freed here, once; `seen` outlives it and is touched by nobody else
        // while a call runs; the handlers have the types that the setters want.
        unsafe {
            (self.set_user_data)(parser, (&raw mut seen).cast());
            (self.set_elements)(parser, on_start, on_end);
            (self.set_text)(parser, on_text);
            (self.set_instruction)(parser, on_pair);
            (self.set_comment)(parser, on_comment);
            (self.set_doctype)(parser, on_doctype);
            let all = self.parse_chunks(parser, chunks);
            (self.free)(parser);
            all.then_some(seen.elements)
        }
    }

    /// # Safety
    /// `parser` must be a live parser with its handlers set.
    unsafe fn parse_chunks<'a>(&self, parser: Parser, mut chunks: impl Iterator<Item = &'a [u8]>) -> bool {
        let feed = |bytes: &[u8], last: c_int| {
            let Ok(length) = c_int::try_from(bytes.len()) else { return false };
            // SAFETY: the parser is live, and reads `length` bytes of a slice that long during the call only.
            unsafe { (self.parse)(parser, bytes.as_ptr().cast(), length, last) == 1 }
        };
        chunks.all(|chunk| feed(chunk, 0)) && feed(&[], 1)
    }
}

/// A function of the library.
///
/// # Safety
/// `library` must have been given by `dlopen` and stay open, and `F` be the type of the C function of this name.
unsafe fn symbol<F: Copy>(library: NonNull<c_void>, name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<NonNull<c_void>>(), "F is a function pointer") };
    // SAFETY: the handle is live, and the name is a C string.
    let address = NonNull::new(unsafe { libc::dlsym(library.as_ptr(), name.as_ptr()) })?;
    // SAFETY: it is the address of a function of type `F`, as the caller promises.
    Some(unsafe { std::mem::transmute_copy(&address) })
}

extern "C" fn on_start(data: *mut c_void, _: *const c_char, _: *const *const c_char) {
    // SAFETY: `data` is the `Seen` of the parser that calls, and nothing else borrows it now.
    unsafe { (*data.cast::<Seen>()).elements += 1 };
}

extern "C" fn on_end(_: *mut c_void, _: *const c_char) {}

extern "C" fn on_text(_: *mut c_void, _: *const c_char, _: c_int) {}

extern "C" fn on_pair(data: *mut c_void, _: *const c_char, _: *const c_char) {
    ban(data);
}

extern "C" fn on_comment(data: *mut c_void, _: *const c_char) {
    ban(data);
}

extern "C" fn on_doctype(data: *mut c_void, _: *const c_char, _: *const c_char, _: *const c_char, _: c_int) {
    ban(data);
}

fn ban(data: *mut c_void) {
    // SAFETY: `data` is the `Seen` of the parser that calls; expat allows to stop it from within a handler.
    unsafe {
        let seen = &*data.cast::<Seen>();
        (seen.stop)(seen.parser, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_elements_and_refuses_what_is_banned() {
        let Some(expat) = Expat::load() else { return eprintln!("libexpat is not installed") };
        let elements = |text: &str| expat.parse(text.as_bytes().chunks(3));
        assert_eq!(elements("<a xmlns='u'><b/><c>x</c></a>"), Some(3));
        for refused in ["<a>", "<a><!-- --></a>", "<a><?p?></a>", "<!DOCTYPE a><a/>", "<p:a/>"] {
            assert_eq!(elements(refused), None, "{refused}");
        }
    }
}
