namespace Kvcached.Gpu.Memory;

/// <summary>Return codes of the CUDA driver API (values of cuda.h); every backend answers in them. Other values may occur.</summary>
public enum DriverCode
{
    Success = 0,
    InvalidValue = 1,
    OutOfMemory = 2,
    NotInitialized = 3,
    Deinitialized = 4,
    NoDevice = 100,
    InvalidDevice = 101,
    InvalidContext = 201,
    AlreadyMapped = 208,
    NotMapped = 211,
    OperatingSystem = 304,
    InvalidHandle = 400,
    IllegalState = 401,
    NotFound = 500,
    NotReady = 600,
    IllegalAddress = 700,
    NotPermitted = 800,
    NotSupported = 801,
    Unknown = 999,
}
