using System.Globalization;
using System.Runtime.InteropServices;

namespace Kvcached.Cli.Checks;

/// <summary>What can be seen of this machine without a host.</summary>
internal static class MachineChecks
{
    // Hosts keep a descriptor per handle; a per-layer layout of a large model has tens of thousands.
    private const long EnoughDescriptors = 65_536;

    public static IEnumerable<CheckResult> Run()
    {
        yield return CheckDriver();
        yield return CheckDescriptors();
        yield return CheckRunDirectory(RunDirectory.DefaultPath());
        foreach (var socket in CheckSockets(RunDirectory.DefaultPath()))
        {
            yield return socket;
        }
    }

    private static CheckResult CheckDriver()
    {
        const string VersionPath = "/proc/driver/nvidia/version";
        var hasLibrary = NativeLibrary.TryLoad("libcuda.so.1", out var library);
        if (hasLibrary)
        {
            NativeLibrary.Free(library);
        }

        return (File.Exists(VersionPath), hasLibrary) switch
        {
            (true, true) => new("driver", CheckStatus.Ok, File.ReadLines(VersionPath).First().Trim()),
            (true, false) => new("driver", CheckStatus.Wrong, "the kernel has the NVIDIA driver, but libcuda.so.1 can't be loaded", "Install the driver's user-space libraries; in a container, start it with the GPU's runtime."),
            (false, true) => new("driver", CheckStatus.Wrong, "libcuda.so.1 is there, but the kernel has no NVIDIA driver", "Load the driver (modprobe nvidia), or pass the GPU into the container."),
            _ => new("driver", CheckStatus.Note, "no NVIDIA driver; hosts lend main memory here"),
        };
    }

    private static CheckResult CheckDescriptors()
    {
        var limit = File.ReadLines("/proc/self/limits").First(line => line.StartsWith("Max open files", StringComparison.Ordinal));
        var hard = limit["Max open files".Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[1];
        var isEnough = !long.TryParse(hard, NumberStyles.None, CultureInfo.InvariantCulture, out var count) || count >= EnoughDescriptors;
        return isEnough
            ? new("file descriptors", CheckStatus.Ok, $"a process may have {hard}")
            : new("file descriptors", CheckStatus.Note, $"a process may have {hard}, which per-layer layouts of large models exceed", $"Raise the hard limit to {EnoughDescriptors} or more: LimitNOFILE= in a unit, ulimit -Hn in a shell.");
    }

    private static CheckResult CheckRunDirectory(string path)
    {
        const UnixFileMode Others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute
            | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;
        if (!Directory.Exists(path))
        {
            return new("run directory", CheckStatus.Note, $"{path} isn't there yet; the first host of this user makes it");
        }

        return (File.GetUnixFileMode(path) & Others) == 0
            ? new("run directory", CheckStatus.Ok, path)
            : new("run directory", CheckStatus.Wrong, $"{path} is open to others ({File.GetUnixFileMode(path)}); hosts refuse it", $"chmod 700 {path}");
    }

    private static IEnumerable<CheckResult> CheckSockets(string directory)
    {
        foreach (var path in Directory.Exists(directory) ? Directory.EnumerateFiles(directory, "engine-*.sock") : [])
        {
            using var socket = new System.Net.Sockets.Socket(System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Seqpacket, System.Net.Sockets.ProtocolType.Unspecified);
            string? problem = null;
            try
            {
                socket.Connect(new System.Net.Sockets.UnixDomainSocketEndPoint(path));
            }
            catch (System.Net.Sockets.SocketException exception)
            {
                problem = exception.Message;
            }

            yield return problem is null
                ? new("engine socket", CheckStatus.Ok, $"{path} is served; mode {File.GetUnixFileMode(path)}")
                : new("engine socket", CheckStatus.Note, $"{path} isn't served: {problem}", "Start its host, or remove it when there is none; a new host replaces it by itself.");
        }
    }
}
