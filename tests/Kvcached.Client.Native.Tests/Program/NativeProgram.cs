using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Kvcached.Client.Native.Tests.Program;

/// <summary>
/// The C program of <c>tests/native</c>, compiled once against the header and the library that <c>build-native.sh</c> made. Each case runs in a process
/// of its own, because it is about processes.
/// </summary>
public sealed class NativeProgram : IDisposable
{
    private static readonly TimeSpan s_longestCase = TimeSpan.FromMinutes(2);
    private readonly string _folder = Directory.CreateTempSubdirectory("kvcached-native-").FullName;

    public NativeProgram()
    {
        if (!File.Exists(Path.Combine(LibraryFolder, "libkvcached.so")))
        {
            throw new FileNotFoundException($"There is no libkvcached.so in {LibraryFolder}: run ./build-native.sh, or ./test.sh, which does.");
        }

        ExecutablePath = Path.Combine(_folder, "kvcached-tests");
        var sources = Directory.GetFiles(Path.Combine(Root, "tests", "native"), "*.c");
        var (found, compiler) = Run(Path.Combine(Root, "build", "need-native.sh"), []);
        if (found != 0)
        {
            throw new InvalidOperationException(compiler);
        }

        var (exitCode, output) = Run(compiler.Split('\n', StringSplitOptions.RemoveEmptyEntries)[^1], [
            "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-g", $"-I{LibraryFolder}", "-o", ExecutablePath, .. sources, $"-L{LibraryFolder}", "-lkvcached",
            $"-Wl,-rpath,{LibraryFolder}", "-pthread"]);
        if (exitCode != 0)
        {
            throw new InvalidOperationException($"The C tests did not compile:\n{output}");
        }
    }

    /// <summary>The repository.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>Where the library and its header are.</summary>
    public static string LibraryFolder { get; } =
        Environment.GetEnvironmentVariable("KVCACHED_NATIVE_DIR") ?? Path.Combine(FindRoot(), "artifacts", "native");

    public string ExecutablePath { get; }

    /// <summary>Runs it to its end.</summary>
    public (int ExitCode, string Output) Run(string argument) => Run(ExecutablePath, [argument]);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>Runs a program to its end, and gives what it wrote to both streams.</summary>
    public static (int ExitCode, string Output) Run(string program, IEnumerable<string> arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })
            ?? throw new InvalidOperationException($"{program} did not start.");
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEndAsync();
        if (!process.WaitForExit(s_longestCase))
        {
            process.Kill(entireProcessTree: true);
            return (-1, $"{program} {string.Join(' ', arguments)} did not end within {s_longestCase}.");
        }

        process.WaitForExit();
        return (process.ExitCode, output.GetAwaiter().GetResult() + errors.GetAwaiter().GetResult());
    }

    private static string FindRoot([CallerFilePath] string sourcePath = "")
    {
        var folder = Path.GetDirectoryName(sourcePath);
        while (folder is not null && !File.Exists(Path.Combine(folder, "Kvcached.sln")))
        {
            folder = Path.GetDirectoryName(folder);
        }

        return folder ?? throw new DirectoryNotFoundException($"No Kvcached.sln above '{sourcePath}'; run the tests where they were built.");
    }
}
