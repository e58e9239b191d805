using System.Text.RegularExpressions;
using Kvcached.Client.Native.Abi;
using Kvcached.Client.Native.Tests.Program;
using Kvcached.Core.Decisions;
using Kvcached.Core.Paging;

namespace Kvcached.Client.Native.Tests.Abi;

/// <summary>Header, list of exports, codes and C# say the same.</summary>
public sealed partial class HeaderTests
{
    private static readonly string s_sources = Path.Combine(NativeProgram.Root, "src", "Kvcached.Client.Native");
    private static readonly string s_header = File.ReadAllText(Path.Combine(s_sources, "kvcached.h"));

    [Fact]
    public void Library_ExportsTheHeadersFunctions_AndNothingElse()
    {
        var declared = Declaration().Matches(s_header).Select(match => match.Groups["name"].Value).Order(StringComparer.Ordinal).ToArray();
        Assert.True(declared.Length > 40);
        Assert.Equal(declared, File.ReadAllLines(Path.Combine(s_sources, "exports.txt")));

        var (exitCode, output) = NativeProgram.Run("nm", ["-D", "--defined-only", Path.Combine(NativeProgram.LibraryFolder, "libkvcached.so")]);
        Assert.Equal(0, exitCode);
        var exported = output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' '))
            .Where(parts => parts[1] == "T").Select(parts => parts[2].Split('@')[0]).Order(StringComparer.Ordinal);
        Assert.Equal(declared, exported);
    }

    [Fact]
    public void Codes_OfTheHeader_AreThoseOfTheLibrary()
    {
        var codes = Code().Matches(s_header).ToDictionary(match => match.Groups["name"].Value, match => int.Parse(match.Groups["value"].Value, null));
        foreach (var reason in Enum.GetValues<RefusalReason>())
        {
            Assert.Equal((int)StatusOf.Refusal(reason), codes[$"KVC_REFUSED_{NameInC(reason.ToString())}"]);
        }

        foreach (var status in Enum.GetValues<Status>().Where(status => status is not (Status.Ok or Status.Refused)))
        {
            Assert.Equal((int)status, codes[$"KVC_ERROR_{NameInC(status.ToString())}"]);
        }

        Assert.Equal(codes.Count, Enum.GetValues<RefusalReason>().Length + Enum.GetValues<Status>().Length);
        Assert.All(Enum.GetValues<BlockFaultKind>(), kind => Assert.NotEqual(Status.Internal, StatusOf.Fault(kind)));
    }

    [Fact]
    public void EveryManagedEntry_LetsNoExceptionOut()
    {
        var entries = 0;
        foreach (var file in Directory.GetFiles(Path.Combine(s_sources, "Exports"), "*.cs"))
        {
            foreach (var body in File.ReadAllText(file).Split("[UnmanagedCallersOnly(").Skip(1))
            {
                entries++;
                Assert.Matches(@"(?s)^[^{]*\{\s*try\s*\{.*catch \(Exception e\)\s*\{\s*return Failure\.Caught\(e\);\s*\}\s*\}", body);
            }
        }

        Assert.True(entries > 40);
    }

    private static string NameInC(string name) => WordStart().Replace(name, "_").ToUpperInvariant();

    [GeneratedRegex(@"KVC_API [^;(]*\b(?<name>kvc_[a-z_]+)\(")]
    private static partial Regex Declaration();

    [GeneratedRegex(@"^\s+(?<name>KVC_(OK|ERROR_\w+|REFUSED\w*)) = (?<value>\d+)", RegexOptions.Multiline)]
    private static partial Regex Code();

    [GeneratedRegex("(?<=[a-z])(?=[A-Z])")]
    private static partial Regex WordStart();
}
