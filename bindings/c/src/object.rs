//! Objects that C holds pointers to.

use crate::error::{Failure, Outcome, guard, guard_or, nzip_ErrorCode};
use std::ptr;
use std::sync::{Mutex, TryLockError};

/// An object: a state that one call at a time has.
pub trait Object: Sized {
    type State;

    fn new(state: Mutex<Self::State>) -> Self;
    fn state(&self) -> &Mutex<Self::State>;
}

/// Defines an object with a state of this type.
macro_rules! object {
    ($name:ident($state:ty)) => {
        impl $crate::object::Object for $name {
            type State = $state;

            fn new(state: std::sync::Mutex<$state>) -> Self {
                Self(state)
            }

            fn state(&self) -> &std::sync::Mutex<$state> {
                &self.0
            }
        }
    };
}
pub(crate) use object;

/// Makes an object; null where that fails.
pub fn create<O: Object>(make: impl FnOnce() -> Outcome<O::State>) -> *mut O {
    guard_or(ptr::null_mut(), || Ok(Box::into_raw(Box::new(O::new(Mutex::new(make()?))))))
}

/// Frees an object; null is none.
///
/// # Safety
///
/// `object` must be null or come from [`create`], and not be used or freed any more.
pub unsafe fn free<O: Object>(object: *mut O) -> usize {
    guard(|| {
        if !object.is_null() {
            // SAFETY: it was made by `Box::into_raw`, and is freed only once.
            drop(unsafe { Box::from_raw(object) });
        }
        Ok(0)
    })
}

/// Does something with an object. Fails where another call has it; after a panic, always.
///
/// # Safety
///
/// `object` must be null or come from [`create`], and nobody may free it meanwhile.
pub unsafe fn with<O: Object, T>(
    object: *const O,
    work: impl FnOnce(&mut O::State) -> Outcome<T>,
) -> Outcome<T> {
    // SAFETY: what the caller answers for.
    let object = unsafe { object.as_ref() }.ok_or_else(|| Failure::null("the context or archive"))?;
    let mut state = object.state().try_lock().map_err(|e| match e {
        TryLockError::WouldBlock => Failure::new(nzip_ErrorCode::nzip_error_busy, "it is in use"),
        TryLockError::Poisoned(_) => {
            let message = "an internal error has left it in an unknown state";
            Failure::new(nzip_ErrorCode::nzip_error_internal, message)
        }
    })?;
    #[cfg(test)]
    crate::panics::panic_at(crate::panics::Place::Object);
    work(&mut state)
}

/// The same as a function of C, whose result is a size.
///
/// # Safety
///
/// As for [`with`].
pub unsafe fn call<O: Object>(object: *const O, work: impl FnOnce(&mut O::State) -> Outcome<usize>) -> usize {
    // SAFETY: what the caller answers for.
    guard(|| unsafe { with(object, work) })
}
