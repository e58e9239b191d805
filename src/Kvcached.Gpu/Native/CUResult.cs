namespace Kvcached.Gpu.Native;

/// <summary>Return codes of the driver that this project meets; names follow ManagedCuda, values cuda.h.</summary>
internal enum CUResult
{
    Success = 0,
    ErrorInvalidValue = 1,
    ErrorOutOfMemory = 2,
    ErrorNotInitialized = 3,
    ErrorDeinitialized = 4,
    ErrorNoDevice = 100,
    ErrorInvalidDevice = 101,
    ErrorInvalidContext = 201,
    ErrorAlreadyMapped = 208,
    ErrorNotMapped = 211,
    ErrorOperatingSystem = 304,
    ErrorInvalidHandle = 400,
    ErrorIllegalState = 401,
    ErrorNotFound = 500,
    ErrorNotReady = 600,
    ErrorIllegalAddress = 700,
    ErrorNotPermitted = 800,
    ErrorNotSupported = 801,
    ErrorUnknown = 999,
}
