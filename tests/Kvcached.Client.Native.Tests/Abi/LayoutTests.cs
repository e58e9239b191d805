using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using Kvcached.Client.Native.Abi;
using Kvcached.Client.Native.Tests.Program;

namespace Kvcached.Client.Native.Tests.Abi;

/// <summary>The C# structs lie in memory as the C compiler lays them out.</summary>
public sealed class LayoutTests(NativeProgram program) : IClassFixture<NativeProgram>
{
    private static readonly Dictionary<string, Type> s_structs = new(StringComparer.Ordinal)
    {
        ["kvc_session_options"] = typeof(AbiSessionOptions),
        ["kvc_group_spec"] = typeof(AbiGroupSpec),
        ["kvc_pool_spec"] = typeof(AbiPoolSpec),
        ["kvc_pool_options"] = typeof(AbiPoolOptions),
        ["kvc_availability"] = typeof(AbiAvailability),
        ["kvc_extent"] = typeof(AbiExtent),
        ["kvc_pool_stats"] = typeof(AbiPoolStats),
        ["kvc_tag"] = typeof(AbiTag),
        ["kvc_tagged_block"] = typeof(AbiTaggedBlock),
        ["kvc_attach_options"] = typeof(AbiAttachOptions),
        ["kvc_arena_info"] = typeof(AbiArenaInfo),
        ["kvc_tensor"] = typeof(AbiTensor),
        ["kvc_arena_stats"] = typeof(AbiArenaStats),
        ["kvc_event"] = typeof(AbiEvent),
    };

    [Fact]
    public void Structs_HaveTheOffsetsAndSizes_OfTheCompiler()
    {
        var (exitCode, output) = program.Run("--layout");
        Assert.Equal(0, exitCode);
        var ours = new StringBuilder();
        foreach (var (name, type) in s_structs)
        {
            ours.Append(name).Append(' ').Append(Marshal.SizeOf(type)).Append('\n');
            foreach (var field in type.GetFields(BindingFlags.Instance | BindingFlags.Public))
            {
                ours.Append(name).Append('.').Append(NameInC(field.Name)).Append(' ').Append(Marshal.OffsetOf(type, field.Name)).Append(' ')
                    .Append(SizeOf(field.FieldType)).Append('\n');
            }
        }

        Assert.Equal(output, ours.ToString());
    }

    private static int SizeOf(Type type) =>
        type.IsPointer ? nint.Size : type.IsEnum ? sizeof(int) : Marshal.SizeOf(type);

    /// <summary><c>BlockStrideBytes</c> is <c>block_stride_bytes</c>.</summary>
    private static string NameInC(string name) =>
        string.Concat(name.Select((c, i) => char.IsUpper(c) ? (i == 0 ? string.Empty : "_") + char.ToLowerInvariant(c) : c.ToString()));
}
