using System.Runtime.InteropServices;

namespace Kvcached.Client.Native;

/// <summary>Functions of the C files that are linked into the same library; see <c>start.h</c>.</summary>
internal static unsafe partial class Shim
{
    private const string Library = "kvcached-shim";

    [LibraryImport(Library, EntryPoint = "kvc_keep_error")]
    [SuppressGCTransition]
    internal static partial void KeepError(byte* utf8, int byteCount);

    [LibraryImport(Library, EntryPoint = "kvc_watch_descriptors")]
    internal static partial void WatchDescriptors(int* descriptors, int capacity, int* used);

    /// <summary>A descriptor of its own, not readable yet; -1 when there are too many.</summary>
    [LibraryImport(Library, EntryPoint = "kvc_open_event_descriptor")]
    internal static partial int OpenEventDescriptor();

    [LibraryImport(Library, EntryPoint = "kvc_close_event_descriptor")]
    internal static partial void CloseEventDescriptor(int descriptor);

    [LibraryImport(Library, EntryPoint = "kvc_set_event_descriptor")]
    internal static partial void SetEventDescriptor(int descriptor, int isReadable);
}
